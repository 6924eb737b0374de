"""What changed between two states of the results: of git's history, of folders, of files that are no results."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raml.claims.diff import Comparison, Version, compare, open_version
from raml.errors import DataError, InputError

ROOT = Path(__file__).parents[2]
CLAIM = {"id": "fig3", "exhibit": "fig3", "verdict": "holds", "measured": -0.5, "interval": [-0.6, -0.4], "n": {"q": 3}}
METRIC = {"model": "base", "benchmark": "rows", "metric": "Pass@8", "value": 0.5, "lower": 0.4, "upper": 0.6}


def results(folder: Path, *claims: dict[str, Any], metrics: list[dict[str, Any]] | None = None) -> Path:
    """A results folder."""
    (folder / "tables").mkdir(parents=True)
    (folder / "claims.json").write_text(json.dumps(claims))
    pl.DataFrame(metrics or [METRIC]).write_parquet(folder / "tables/metrics.parquet")
    return folder


def compared(before: Path, after: Path) -> Comparison:
    """The comparison of two folders of one scale, whatever they are called."""
    versions = [open_version(str(path)) for path in (before, after)]
    one, two = (Version(version.name, {"s": next(iter(version.scales.values()))}) for version in versions)
    return compare(one, two)


def test_equal_states_differ_in_nothing(tmp_path: Path) -> None:
    found = compared(results(tmp_path / "a", CLAIM), results(tmp_path / "b", CLAIM)).scales[0]
    assert (found.claims, found.claims_same, found.metrics, found.metrics_same) == ([], 1, [], 1)
    assert found.tables == [] and found.notes == []


def test_verdicts_numbers_and_intervals_that_changed_are_found(tmp_path: Path) -> None:
    other = CLAIM | {"verdict": "inconclusive", "measured": -0.3, "interval": [-0.6, 0.0]}
    new = CLAIM | {"id": "fig16", "verdict": "not_run", "measured": None, "interval": None}
    kept = CLAIM | {"id": "fig12", "details": {"rho": {"lower": 0.25}, "benchmarks": ["rows"]}}
    moved = CLAIM | {"id": "fig12", "details": {"rho": {"lower": 0.5}, "benchmarks": ["rows"]}}
    metrics = [METRIC | {"lower": 0.3}, METRIC | {"metric": "Avg@16"}]
    before = results(tmp_path / "a", CLAIM, kept, CLAIM | {"id": "gone"})
    found = compared(before, results(tmp_path / "b", moved, other, new, metrics=metrics)).scales[0]
    by_id = {change.id: change for change in found.claims}
    assert by_id.keys() == {"fig3", "fig16", "fig12", "gone"}
    assert by_id["fig3"].fields == ["verdict", "measured", "interval"]
    assert by_id["fig3"].before is not None and by_id["fig3"].before["interval"] == [-0.6, -0.4]
    assert (by_id["fig16"].change, by_id["gone"].change) == ("added", "removed")
    assert by_id["fig12"].fields == [] and by_id["fig12"].details == {"rho.lower": (0.25, 0.5)}
    assert "verdict" in found.claims[0].fields  # those whose verdict changed stand first
    assert [(one.metric, one.change) for one in found.metrics] == [("Pass@8", "changed"), ("Avg@16", "added")]
    (table,) = found.tables
    assert (table.path, table.added, table.removed, table.changed) == ("tables/metrics.parquet", 1, 0, 1)
    assert table.columns == {"lower": pytest.approx(0.1)}


def test_fields_that_one_file_did_not_have_yet_are_noted_and_not_compared(tmp_path: Path) -> None:
    newer = CLAIM | {"p": 0.01, "p_holm": 0.04, "verdict_holm": "holds"}
    found = compared(results(tmp_path / "a", CLAIM), results(tmp_path / "b", newer)).scales[0]
    assert found.claims == []
    assert [note.partition(" does not say ")[2] for note in found.notes] == ["p, p_holm, verdict_holm: not compared"]
    again = compared(results(tmp_path / "c", newer), results(tmp_path / "d", newer | {"verdict_holm": "inconclusive"}))
    assert again.scales[0].claims[0].fields == ["verdict_holm"] and again.scales[0].notes == []


def test_claims_of_another_age_are_compared_by_what_both_say(tmp_path: Path) -> None:
    older = CLAIM | {"details": {"rho": 0.5}, "line": 0.0, "novel": 1}
    effect = {"name": "rho", "estimate": -0.5, "interval": [-0.6, -0.4]}
    newer = CLAIM | {"measured": {"rho": -0.5}, "effects": [effect]}
    found = compared(results(tmp_path / "a", older), results(tmp_path / "b", newer)).scales[0]
    assert found.claims[0].fields == ["measured"] and found.claims[0].details == {}
    assert [note.partition(" does not say ")[2] for note in found.notes] == [
        "effects: not compared",
        "line, details: not compared",
    ]
    moved = newer | {"effects": [effect | {"estimate": -0.4}]}
    found = compared(results(tmp_path / "c", newer), results(tmp_path / "d", moved)).scales[0]
    assert found.claims[0].fields == [] and found.claims[0].details == {"0.estimate": (-0.5, -0.4)}


def test_rows_are_matched_by_their_keys_and_then_by_their_order(tmp_path: Path) -> None:
    rows = [{"id": "a", "x": 1.0, "s": "p", "l": [1]}, {"id": "a", "x": None, "s": "q", "l": [2]}]
    rows += [{"id": None, "x": float("nan"), "s": None, "l": None}]
    other_rows = [rows[2], rows[0] | {"x": 1.5}, rows[1] | {"s": "r", "l": [3], "x": 2.0}]
    for name, changed in (("a", rows), ("b", other_rows)):
        folder = results(tmp_path / name, CLAIM)
        pl.DataFrame(changed).write_parquet(folder / "tables/other.parquet")
        (folder / "tables/plain.csv").write_text(f"x,y\n1,{'true' if name == 'a' else 3}\n")
    other, plain = compared(tmp_path / "a", tmp_path / "b").scales[0].tables
    assert (other.added, other.removed, other.changed) == (0, 0, 2)
    assert other.columns == {"l": None, "s": None, "x": None}
    assert (plain.changed, plain.columns) == (1, {"y": 2.0})


def test_a_table_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    before, after = results(tmp_path / "a", CLAIM), results(tmp_path / "b", CLAIM)
    (after / "tables/metrics.parquet").write_bytes(b"PAR1")
    found = compared(before, after).scales[0]
    assert found.metrics == [] and len(found.notes) == 1
    assert "tables/metrics.parquet is truncated or not Parquet" in found.notes[0]


def test_a_copy_of_results_is_of_the_scale_that_its_tables_name(tmp_path: Path) -> None:
    (tmp_path / "old/tables").mkdir(parents=True)
    (tmp_path / "old/claims.json").write_bytes((ROOT / "results/micro/claims.json").read_bytes())
    (tmp_path / "old/tables/metrics.parquet").write_bytes((ROOT / "results/micro/tables/metrics.parquet").read_bytes())
    assert list(open_version(str(tmp_path / "old")).scales) == ["micro"]
    assert {"micro", "small-cpu"} <= open_version(str(ROOT)).scales.keys() >= {"small-cpu"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ("{}", "valid array"),
        ('[{"id": "fig3"}]', "0.verdict: Field required"),
        (json.dumps([CLAIM, CLAIM]), "'fig3' twice"),
    ],
)
def test_claims_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    before, after = results(tmp_path / "a", CLAIM), results(tmp_path / "b", CLAIM)
    (after / "claims.json").write_text(text)
    with pytest.raises(DataError, match=message) as refused:
        compared(before, after)
    assert f"{after}/claims.json" in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_neither_folder_nor_revision_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nonsense", "--all", ""):
        with pytest.raises(InputError, match="neither a folder nor a revision"):
            open_version(name or "x^^^")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file"):
        open_version("file")
    with pytest.raises(DataError, match="has no results"):
        open_version(str(tmp_path))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy without the repository's history")
def test_every_revision_of_the_committed_results_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    listing = ["git", "log", "--format=%h", "--", "results/micro/claims.json"]
    revisions = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    now = open_version(None)
    for revision in revisions:
        (found,) = compare(open_version(revision), now, "micro").scales
        assert found.claims_same + len(found.claims) >= 24
        assert not [note for note in found.notes if "cannot be read" in note]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """A repository in which results change; the function commits what is there and gives the revision."""
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def commit() -> str:
        git("add", ".")
        git("commit", "--quiet", "--allow-empty", "--message", "results")
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    return commit


def test_revisions_are_read_from_git_alone(history: Callable[[], str], tmp_path: Path) -> None:
    empty = history()
    folder = results(tmp_path / "results/micro", CLAIM)
    first = history()
    (folder / "claims.json").write_text(json.dumps([CLAIM | {"verdict": "contradicted"}]))
    (folder / "probes").mkdir()
    (folder / "probes/big.parquet").write_text("no table, and none of git's")
    found = compare(open_version(first), open_version(None))
    assert [change.fields for change in found.scales[0].claims] == [["verdict"]]
    second = history()
    (folder / "claims.json").unlink()
    assert compare(open_version(first), open_version(second)).scales == found.scales
    with pytest.raises(DataError, match=f"revision {empty} has no results"):
        open_version(empty)
    with pytest.raises(DataError, match="the working tree has no results"):
        open_version(None)


def test_scales_that_are_not_in_both_are_refused(tmp_path: Path) -> None:
    one = Version("a", {"micro": open_version(str(results(tmp_path / "a", CLAIM))).scales["a"]})
    two = Version("b", {"small": open_version(str(results(tmp_path / "b", CLAIM))).scales["b"]})
    with pytest.raises(InputError, match="no scale in common"):
        compare(one, two)
    with pytest.raises(InputError, match="--scale small: a has no results of it; it has those of micro"):
        compare(one, two, "small")
