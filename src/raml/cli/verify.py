"""`raml verify`: a claim made once more in a clean folder, and whether the same comes out."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raml.cli.options import Json, Scale
from raml.cli.output import COLOURS, print_json, print_line
from raml.errors import InputError, RamlError

if TYPE_CHECKING:
    from raml.lineage.verify import Chain, Verification

SOURCES = ("Snakefile", "CITATION.cff", "config", "profiles", "pyproject.toml", "requirements", "src", "workflow")
EXIT_CODES = {"identical": 0, "within tolerance": 3, "different": 4}
SHOWN = 5


def verify(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="A claim's id, such as tab2 (see `raml claims`).")],
    scale: Scale = "micro",
    given: Annotated[
        bool,
        typer.Option("--given", help="Take questions, trajectories and models as they are; make the rest again."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to work, a new folder, which stays.", show_default="a temporary one"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not delete the temporary folder.")] = False,
    cores: Annotated[int | None, typer.Option(min=1, help="How many to use.", show_default="all")] = None,
    as_json: Json = False,
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
        _copy([*SOURCES, *taken, *([f"results/{scale}/records"] if taken else [])], clean)
        for name in _folders(settings.model_dump(mode="json")):
            (clean / name).parent.mkdir(parents=True, exist_ok=True)
            (clean / name).symlink_to(Path(name).resolve())
        _run(chain, clean, cores)
        outcome = verification(chain, clean, recorded)
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)
    raise typer.Exit(EXIT_CODES[outcome.outcome])


@contextmanager
def _clean_folder(folder: Path | None, keep: bool) -> Iterator[Path]:
    """A new folder outside this checkout; a temporary one goes at the end, whatever happened."""
    if folder is not None:
        if folder.resolve().is_relative_to(Path.cwd().resolve()):
            raise InputError(f"--folder {folder} lies in this checkout; name a folder outside of it")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"--folder {folder} is not empty; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="raml-verify-"))
    else:
        with tempfile.TemporaryDirectory(prefix="raml-verify-") as temporary:
            yield Path(temporary)


def _copy(names: Sequence[str | Path], folder: Path) -> None:
    """Copy files and folders with their paths, links as links; what is not there is left out."""
    there = [str(name) for name in names if os.path.lexists(name)]
    subprocess.run(["cp", "--archive", "--parents", "--", *there, str(folder)], check=True)


def _folders(value: object) -> set[str]:
    """Folders of published models and data: relative paths in a configuration to something beside the sources."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*(_folders(part) for part in parts))
    if not isinstance(value, str) or "/" not in value or "\n" in value or Path(value).is_absolute():
        return set()
    outside = ".." not in Path(value).parts and Path(value).parts[0] not in (*SOURCES, "results")
    return {value} if outside and len(value) < 256 and Path(value).exists() else set()


def _run(chain: "Chain", folder: Path, cores: int | None) -> None:
    """The workflow as far as the claim's artifacts, told on stderr."""
    environment = {name: value for name, value in os.environ.items() if not re.match("PYTHONPATH$|RAML_", name)}
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all"), *chain.claim.artifacts]
    command += ["--config", f"scale={chain.scale}"]
    ran = subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr)
    if ran.returncode:
        raise RamlError(
            f"the run in {folder} failed (exit code {ran.returncode}), for the reason above; --keep leaves its logs"
        )


def _print(outcome: "Verification") -> None:
    style = f"bold {COLOURS[outcome.outcome]}"
    print_line(f"{outcome.claim} at scale {outcome.scale}: {outcome.outcome}", style=style)
    same = outcome.compared - len(outcome.differing)
    print_line(f"{outcome.jobs} jobs; {same} of {outcome.compared} files have the recorded bytes")
    if outcome.unrecorded:
        print_line(f"of {len(outcome.unrecorded)} more nothing is recorded, such as {outcome.unrecorded[0]}")
    if outcome.outcome == "identical":
        return
    print_line(f"verdict: recorded {outcome.verdict_recorded}, now {outcome.verdict_remade}")
    for number in outcome.numbers:
        low, high = number.allowed
        print_line(
            f"{number.name}: recorded {number.recorded:.6g}, now {number.remade:.6g}, "
            f"{'inside' if number.within else 'outside'} {low:.6g} to {high:.6g} ({number.source})"
        )
    if first := outcome.first:
        print_line(f"first file that differs: {first.path}, which {first.rule} makes")
        changed = f"changed since it was recorded: {', '.join(first.changed)}"
        print_line(changed if first.changed else "nothing of its job has changed, so this machine computes differently")
        if others := [path for path in outcome.differing if path != first.path]:
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            print_line(f"behind it: {', '.join(others[:SHOWN])}{more}")
    elif outcome.fields:
        print_line(f"the files are the same, but the claim says otherwise: {', '.join(outcome.fields)}")
