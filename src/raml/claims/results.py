"""Reading `results/<scale>/claims.json` back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.storage import read_json

RESULTS = TypeAdapter(Annotated[list[ClaimResult], Field(min_length=1)])


def load_results(path: Path, scale: str | None = None) -> list[ClaimResult]:
    """The decided claims, in the registry's order.

    Args:
        path: of `claims.json`.
        scale: that they must be of, if it is known.

    Raises:
        DataError: the file is missing, not JSON, not a list of at least one claim result, or of another scale.
    """
    if scale is not None and not path.is_file():
        raise DataError(f"{path} does not exist; make it with `{command_of(path, scale)}`")
    try:
        results = RESULTS.validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        raise DataError(f"{path} is no list of claim results: {place}: {problem['msg']}; decide again") from None
    if scale is not None:
        for one in results:
            if (of := re.search(r"results/([^/\s]+)/claims\.json", one.command)) and of[1] != scale:
                raise DataError(
                    f"{path} holds results of scale {of[1]!r}; do not copy results between scales, make these anew "
                    f"with `{command_of(path, scale)}`"
                )
    return results


def standing(results: Sequence[ClaimResult]) -> str:
    """One sentence on what stands after Holm's correction; claims that hold by construction are counted apart."""
    tested = [one for one in results if one.verdict != "not_run"]
    decided = [one for one in tested if one.verdict_holm in ("holds", "contradicted")]
    found = [one for one in decided if not one.by_construction]
    said = [
        f"{len(named)} {verb} ({', '.join(one.id for one in named)})"
        for verdict, verb in (("holds", "hold"), ("contradicted", "are contradicted"))
        if (named := [one for one in found if one.verdict_holm == verdict])
    ]
    built_in = [one.id for one in decided if one.by_construction]
    apart = f"; beside them {', '.join(built_in)}, by construction" if built_in else ""
    return f"After Holm's correction for {len(tested)} tests {' and '.join(said) or 'nothing is decided'}{apart}."


def check_current(results: Sequence[ClaimResult], config: Path, path: Path, scale: str) -> str | None:
    """Where the results differ from what the registry says now, and the command that decides again; None if nowhere.

    Args:
        results: as read from `path`.
        config: the folder of `claims.yaml` and `reported.yaml`.
        path: of the results, for the message.
        scale: theirs.

    Raises:
        ConfigError: the registry is broken.
    """
    from raml.claims.registry import load_registry

    registry = load_registry(config / "claims.yaml", config / "reported.yaml")
    decided = {one.id: one for one in results}
    for claim in registry.claims:
        one = decided.get(claim.id)
        changed = None
        if one is None:
            changed = "is new"
        elif (one.statement, one.quantity) != (claim.statement, claim.measured):
            changed = "says something else now"
        elif (one.needs, one.decidable_at) != (claim.needs, claim.decidable_at):
            changed = "was decided by an older version"
        if changed:
            return f"{path} is stale: claim {claim.id!r} {changed}; decide again with `{command_of(path, scale)}`"
    if extra := sorted(set(decided) - {claim.id for claim in registry.claims}):
        return f"{path} is stale: claim {extra[0]!r} is gone; decide again with `{command_of(path, scale)}`"
    return None


def command_of(path: Path, scale: str) -> str:
    """The command that makes `path`, the claims of `scale`."""
    return f"snakemake --cores 2 {path.as_posix()} --config scale={scale}"
