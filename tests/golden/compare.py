"""Whether two folders of a scale's results say the same: `python tests/golden/compare.py results/micro OTHER/micro`.

Tables are compared by rows and values, figures, Markdown, verdicts and metrics byte for byte, other JSON and pages
without what a change of the code alone changes: hashes, code versions, dates and sizes. Measured times, the machine
and the records of jobs are left out. Prints the first difference of each file; the exit code is 1 if there is any.
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any, Final

import polars as pl
from polars.testing import assert_frame_equal

LEFT_OUT: Final = re.compile(
    r"^(bench|times|environment)\.json$|^records/|^figures/times\.|^report/times\.html$|^models/"
)
BYTES: Final = re.compile(r"\.svg$|\.md$|(^|/)claims\.json$|(^|/)metrics\.json$")
MAY_CHANGE: Final = {
    *("code_version", "config_hash", "model_hash", "sha256", "contentSize", "softwareVersion", "version", "packages"),
    *("datePublished", "dateModified", "dateCreated", "startTime", "endTime"),
}
HASH: Final = re.compile(r"(?<![\w.])[0-9a-f]{12}(?:[0-9a-f]{28}|[0-9a-f]{52})?(?!\w)")
DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?")


def differences(one: Path, two: Path) -> list[str]:
    """A line a file that differs, or is in one folder only."""
    names = [
        {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} for folder in (one, two)
    ]
    found = []
    for name in sorted(name for name in names[0] | names[1] if not LEFT_OUT.search(name)):
        missing = [folder for folder, has in zip((one, two), names, strict=True) if name not in has]
        difference = f"not in {missing[0]}" if missing else difference_of(one / name, two / name, name)
        found += [f"{name}: {difference}"] if difference else []
    return found


def difference_of(one: Path, two: Path, name: str) -> str | None:
    """The first difference between two files of this name in the results, None if there is none."""
    if name.endswith(".parquet"):
        return table_difference(pl.read_parquet(one), pl.read_parquet(two))
    if one.read_bytes() == two.read_bytes():
        return None
    if BYTES.search(name):
        return text_difference(*(path.read_text(errors="replace") for path in (one, two))) or "the ends of lines differ"
    if name.endswith(".json"):
        return difference(*(without_versions(json.loads(path.read_text())) for path in (one, two)))
    return text_difference(*(plain(path.read_text(errors="replace")) for path in (one, two)))


def without_versions(node: Any) -> Any:
    """JSON without what may change."""
    if isinstance(node, dict):
        return {key: without_versions(below) for key, below in node.items() if key not in MAY_CHANGE}
    if isinstance(node, list):
        return [without_versions(below) for below in node]
    return plain(node) if isinstance(node, str) else node


def plain(text: str) -> str:
    """A text without hashes and dates."""
    return DATE.sub("DATE", HASH.sub("HASH", text))


def text_difference(one: str, two: str) -> str | None:
    """The first line that differs."""
    lines = one.splitlines(), two.splitlines()
    for number, (before, after) in enumerate(zip(*lines, strict=False), 1):
        if before != after:
            start = next(
                (place for place, pair in enumerate(zip(before, after, strict=False)) if len(set(pair)) > 1), 0
            )
            shown = (text[max(0, start - 20) : start + 60] for text in (before, after))
            return f"line {number}: {' | '.join(map(repr, shown))}"
    return f"{len(lines[0])} | {len(lines[1])} lines" if len(lines[0]) != len(lines[1]) else None


def table_difference(one: pl.DataFrame, two: pl.DataFrame, relative: float = 0.0, absolute: float = 0.0) -> str | None:
    """The first difference of two tables, whose numbers may differ by so much; rows have to be in the same order."""
    try:
        assert_frame_equal(one, two, check_exact=not (relative or absolute), rel_tol=relative, abs_tol=absolute)
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    return None


def difference(one: Any, two: Any, relative: float = 0.0, absolute: float = 0.0, path: str = "") -> str | None:
    """The first difference of two JSON values, as `path: one | two`; numbers may differ by so much."""
    if (
        isinstance(one, float)
        and isinstance(two, int | float)
        and math.isclose(one, two, rel_tol=relative, abs_tol=absolute)
    ):
        return None
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        parts = [(key, one[key], two[key]) for key in one]
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        parts = [(str(place), *pair) for place, pair in enumerate(zip(one, two, strict=True))]
    else:
        return (
            None
            if type(one) is type(two) and one == two
            else f"{path or '(top level)'}: {str(one)[:80]} | {str(two)[:80]}"
        )
    found = (difference(*pair, relative, absolute, f"{path}.{key}".strip(".")) for key, *pair in parts)
    return next((one for one in found if one), None)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not all(Path(name).is_dir() for name in sys.argv[1:]):
        sys.exit(__doc__)
    lines = differences(*map(Path, sys.argv[1:]))
    print("\n".join(lines) or "no difference")
    sys.exit(bool(lines))
