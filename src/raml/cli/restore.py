"""`raml restore`: models, trajectories and samples from DVC's remote, checked against the records that git has."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from raml.cli import dvc_paths
from raml.cli.options import Scale
from raml.cli.output import print_line
from raml.errors import InputError, RamlError
from raml.redaction import redacted

LISTED = 5  # of the files that are not as recorded


def restore(
    scale: Scale = "micro",
    remote: Annotated[str | None, typer.Option(help="A remote's name; DVC's default if not given.")] = None,
) -> None:
    """Fetch what git does not hold with DVC and check every file of the scale against its recorded hash.

    Nothing is written outside this checkout, whatever the remote holds.

    Afterwards `snakemake --dry-run` has nothing to do, unless the sources have changed since.
    """
    from raml.records import kept_hashes

    recorded = kept_hashes(scale)
    if not recorded:
        scales = sorted({path.parts[1] for path in Path("results").glob("*/records/*.json")})
        raise InputError(
            f"this revision has no records of scale {scale!r} (results/{scale}/records); "
            f"scales with records: {', '.join(scales) or 'none'}"
        )
    before = _differing(recorded)
    if before:
        _pull(remote)
    after = before and _differing(recorded)
    if after:
        listed = ", ".join(after[:LISTED]) + (", ..." if len(after) > LISTED else "")
        raise RamlError(
            f"{len(after)} of {len(recorded)} files are not as recorded: {listed}; files that git holds come back with "
            f"`git checkout results/{scale}`, the others with `dvc pull --force`, or `snakemake --cores 2` makes them"
        )
    print_line(f"{len(before)} files restored; all {len(recorded)} files of results/{scale} are as recorded")


def _differing(recorded: dict[str, str]) -> list[str]:
    """Files that are missing or have other bytes than recorded."""
    from raml.storage import file_hash

    return [path for path, sha256 in recorded.items() if not Path(path).is_file() or file_hash(Path(path)) != sha256]


def _pull(remote: str | None) -> None:
    names = dvc_paths.remotes()
    if not names:
        raise InputError(
            "no DVC remote is configured; `dvc remote add --default store URL` adds one (a folder, s3://bucket/path or "
            "ssh://host/path)"
        )
    if remote is not None and remote not in names:
        raise InputError(f"--remote = {remote!r}: configured are {', '.join(names)}")
    dvc_paths.check_outputs()
    _dvc("fetch", *(["--remote", remote] if remote else []))
    dvc_paths.check_manifests()
    _dvc("checkout")


def _dvc(*arguments: str) -> None:
    # On a terminal there are progress bars; a log must not hold the passwords of a remote's url.
    terminal = sys.stderr.isatty()
    ran = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], stderr=None if terminal else subprocess.PIPE, text=True, check=False
    )
    if not terminal:
        print(redacted(ran.stderr), end="", file=sys.stderr)
    if ran.returncode:
        raise RamlError(f"`dvc {arguments[0]}` failed (exit code {ran.returncode}), for the reason above")
