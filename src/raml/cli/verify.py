"""`raml verify`: a claim made once more in a clean folder, and whether the same comes out."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from raml.errors import InputError, RamlError

if TYPE_CHECKING:
    from raml.config import Scale
    from raml.lineage.verify import Chain, Verification

SOURCES: Final = (
    "Snakefile",
    "CITATION.cff",
    "config",
    "profiles",
    "pyproject.toml",
    "requirements",
    "src",
    "workflow",
)
EXIT_CODES: Final = {"identical": 0, "within tolerance": 3, "different": 4}
COLOURS: Final = {"identical": "green", "within tolerance": "yellow", "different": "red"}
SHOWN: Final = 5


def verify(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="A claim's id, such as tab2 (see `raml claims`).")],
    scale: Annotated[str, typer.Option("--scale", help="The scale, a folder of results/.")] = "micro",
    given: Annotated[
        bool,
        typer.Option("--given", help="Take questions, trajectories and models as they are; make the rest again."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where to work, a new folder, which stays.", show_default="a temporary one"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not delete the temporary folder.")] = False,
    cores: Annotated[int | None, typer.Option("--cores", min=1, help="How many to use.", show_default="all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome for machines.")] = False,
) -> None:
    """Make a claim again from the sources that are here, in a clean folder, and compare every file on the way.

    Run are the jobs that the claim's tables and figures take, no others. Nothing in this checkout is changed.

    The exit code is 0 if all bytes are identical, 3 if the verdict is the same and the number within its tolerance, 4
    if the claim is different, 1 if the run failed and 2 on bad input.
    """
    from raml.config import load_scale
    from raml.lineage.verify import chain_of, given_files, recorded_hashes, verification

    settings = load_scale(scale)
    chain = chain_of(claim, scale)
    recorded = recorded_hashes(chain)
    taken = given_files(chain) if given else []
    with _clean_folder(folder, keep) as clean:
        typer.echo(f"{len(chain.jobs)} jobs behind {chain.claim.id}, made again in {clean}", err=True)
        _copy_sources(clean, settings)
        for path in taken:
            _copy(path, clean / path)
        if taken:
            _copy(Path("results", scale, "records"), clean / "results" / scale / "records")
        _run(chain, clean, cores)
        found = verification(chain, clean, recorded)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _show(found)
    raise typer.Exit(EXIT_CODES[found.outcome])


@contextmanager
def _clean_folder(folder: Path | None, keep: bool) -> Iterator[Path]:
    """A new folder outside this checkout; a temporary one goes at the end, whatever happened."""
    if folder is not None:
        if folder.resolve().is_relative_to(Path.cwd().resolve()):
            raise InputError(f"--folder {folder} lies in this checkout; name a folder outside of it")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"--folder {folder} is not empty; name a new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--folder {folder}: {(error.strerror or str(error)).lower()}") from None
        yield folder.resolve()
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="raml-verify-"))
    else:
        with tempfile.TemporaryDirectory(prefix="raml-verify-") as temporary:
            yield Path(temporary)


def _copy_sources(target: Path, scale: "Scale") -> None:
    """What the workflow reads: the sources, and folders of published models and data that the scale names."""
    for name in SOURCES:
        _copy(Path(name), target / name)
    for name in _folders(scale.model_dump(mode="json")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(Path(name).resolve())


def _folders(value: object) -> set[str]:
    """Relative paths among the texts of a configuration that lead to something here beside the sources."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*(_folders(part) for part in parts))
    if not isinstance(value, str) or "/" not in value or "\n" in value or Path(value).is_absolute():
        return set()
    outside = ".." not in Path(value).parts and Path(value).parts[0] not in (*SOURCES, "results")
    return {value} if outside and len(value) < 256 and Path(value).exists() else set()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, folder or link; what is not there is left out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy2(source, target)


def _run(chain: "Chain", folder: Path, cores: int | None) -> None:
    """The workflow as far as the claim's artifacts, told on stderr."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("RAML_")
    }
    workflow = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all"), *chain.claim.artifacts]
    ran = subprocess.run(
        [*workflow, "--config", f"scale={chain.scale}"], cwd=folder, env=environment, stdout=sys.stderr
    )
    if ran.returncode:
        raise RamlError(
            f"the run in {folder} failed (exit code {ran.returncode}), for the reason above; --keep leaves its logs"
        )


def _show(found: "Verification") -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False)

    line(f"{found.claim} at scale {found.scale}: {found.outcome}", f"bold {COLOURS[found.outcome]}")
    same = found.compared - len(found.differing)
    line(f"{found.jobs} jobs; {same} of {found.compared} files have the recorded bytes")
    if found.unrecorded:
        line(f"of {len(found.unrecorded)} more nothing is recorded, such as {found.unrecorded[0]}")
    if found.outcome != "identical":
        line(f"verdict: recorded {found.verdict_recorded}, now {found.verdict_remade}")
    for number in found.numbers if found.outcome != "identical" else []:
        low, high = number.allowed
        inside = "inside" if number.within else "outside"
        line(
            f"{number.name}: recorded {number.recorded:.6g}, now {number.remade:.6g}, {inside} {low:.6g} to {high:.6g} "
            f"({number.source})"
        )
    if first := found.first:
        line(f"first file that differs: {first.path}, which {first.rule} makes")
        reason = ", ".join(first.changed) or "nothing of its job has changed, so this machine reckons otherwise"
        line(f"changed since it was recorded: {reason}" if first.changed else reason)
        others = [path for path in found.differing if path != first.path]
        if others:
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            line(f"behind it: {', '.join(others[:SHOWN])}{more}")
    if found.fields and not found.differing:
        line(f"the files are the same, but the claim says otherwise: {', '.join(found.fields)}")
