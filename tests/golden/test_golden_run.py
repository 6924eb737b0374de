"""What the claims make of a small part of a real run, and of the whole run in git, number by number.

After a change that is meant, `python tests/golden/cut.py expect` makes what is expected here anew.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from golden import compare
from golden.cut import EXPECTED, MICRO, ROOT, make, scale
from raml.claims.decide import decide, read_quantities
from raml.claims.registry import Registry, load_registry
from raml.config import load_scale
from raml.storage import read_json

EXACT = 1e-9  # sums are rounded otherwise on other processors
ENDS = 1e-6  # of intervals and p-values, which are read off replicates
BEFORE = read_json(Path(__file__).parent / "before.json")
LABELLED_0 = int.from_bytes(hashlib.sha256(b"0").digest()[:8], "big")
"""The seed of every interval in `before.json`, recorded with one for all and with ties told as they are now."""


def kept_claims() -> list[dict[str, Any]]:
    return list(read_json(EXPECTED / "claims.json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the code makes now; claims that have come since are left out, and so they change no other's correction."""
    folder = tmp_path_factory.mktemp("golden")
    make(folder, [one["id"] for one in kept_claims()])
    return folder


@pytest.mark.parametrize(("name", "key"), [("quantities", ["quantity", "model"]), ("effects", ["effect"])])
def test_tables_are_as_before(made: Path, name: str, key: list[str]) -> None:
    found, expected = (pl.read_parquet(folder / f"{name}.parquet") for folder in (made, EXPECTED))
    known = found.join(expected.select(key).unique(), on=key, how="semi", maintain_order="left")  # others are new
    ends = [column for column in ("lower", "upper") if column in known.columns]
    assert compare.table_difference(known.drop(ends), expected.drop(ends), EXACT, 1e-12) is None
    assert compare.table_difference(known.select(ends), expected.select(ends), ENDS, 1e-12) is None


def test_verdicts_reasons_and_metrics_are_as_before(made: Path) -> None:
    assert compare.difference(*(_exact(read_json(at / "claims.json")) for at in (EXPECTED, made)), EXACT, 1e-12) is None
    assert compare.difference(*(read_json(at / "claims.json") for at in (EXPECTED, made)), ENDS, ENDS) is None
    assert compare.difference(*(read_json(at / "metrics.json") for at in (EXPECTED, made)), EXACT) is None
    verdicts = [one["verdict"] for one in kept_claims()]
    assert {name: verdicts.count(name) for name in ("holds", "contradicted", "not_run")} == {
        "holds": 7, "contradicted": 4, "not_run": 2,
    }  # fmt: skip


def _exact(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without ends of intervals and p-values."""
    cut = [{key: value for key, value in one.items() if key not in ("interval", "p", "p_holm")} for one in claims]
    for one in cut:
        one["effects"] = [{key: value for key, value in of.items() if key != "interval"} for of in one["effects"]]
    return cut


def test_verdicts_estimates_and_ends_are_those_of_the_code_before_quantities() -> None:
    quantities = read_quantities(EXPECTED / "quantities.parquet", scale(), LABELLED_0)
    whole = load_registry(ROOT / "config/claims.yaml", ROOT / "config/reported.yaml")
    registry = Registry([one for one in whole.claims if one.id in BEFORE], whole.reported, whole.path)
    results = {one.id: one for one in decide(registry, quantities, scale())}
    assert results.keys() == BEFORE.keys() and len(results) == 29
    for name, before in BEFORE.items():
        assert results[name].verdict == before["verdict"]
        assert results[name].p == (before["p"] and pytest.approx(before["p"], abs=ENDS))
        assert len(results[name].effects) == len(before["effects"])
        for now, then in zip(results[name].effects, before["effects"], strict=True):
            sign = 1 if now.side == then["side"] else -1  # the same difference, the other way round
            ends = sorted(sign * end for end in (then["lower"], then["upper"]) if end is not None)
            assert list(now.interval or []) == pytest.approx(ends, rel=EXACT, abs=1e-12)
            if ends:
                assert now.estimate == pytest.approx(sign * then["estimate"], rel=EXACT, abs=1e-12)
            assert (now.threshold, now.questions) == (sign * then["threshold"], then["questions"])


@pytest.mark.parametrize("name", ["micro", "small-cpu"])
def test_the_verdicts_in_git_follow_from_the_quantities_in_git(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table, claims = Path("results", name, "tables/quantities.parquet"), Path("results", name, "claims.json")
    if not (table.is_file() and claims.is_file()):
        pytest.skip(f"{table} and {claims} are not both there")
    settings = load_scale(name)
    registry = load_registry(Path("config/claims.yaml"), Path("config/reported.yaml"))
    found = [one.model_dump(mode="json") for one in decide(registry, read_quantities(table, settings, 0), settings)]
    assert compare.difference(read_json(claims), found, ENDS, ENDS) is None


def test_the_comparison_passes_over_versions_and_tells_the_first_difference(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        shutil.copytree(MICRO / "questions", folder / "questions")
        (folder / "claims.json").write_text('[{"estimate": 0.25}]\n')
        (folder / "page.html").write_text(f"<p>{hashlib.sha256(folder.name.encode()).hexdigest()}, 2026-01-01</p>\n")
        (folder / "fig.json").write_text(f'{{"sources": [{{"code_version": "{folder.name}"}}], "n": 1}}\n')
        (folder / "times.json").write_text(folder.name)
    table = pl.read_parquet(two / "questions/benchmarks.parquet")
    table.write_parquet(two / "questions/benchmarks.parquet", compression="uncompressed")
    assert _run(one, two) == (0, "no difference\n")
    (two / "claims.json").write_text('[{"estimate": 0.26}]\n')
    (two / "page.html").write_text("<p>fig3</p>\n")
    (two / "fig.json").write_text('{"sources": [], "n": 1}')
    (two / "new.svg").write_text("<svg/>")
    table.with_columns(difficulty=pl.col("difficulty") + 1).write_parquet(two / "questions/benchmarks.parquet")
    code, text = _run(one, two)
    assert code == 1
    lines = text.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "claims.json", "fig.json", "new.svg", "page.html", "questions/benchmarks.parquet",
    ]  # fmt: skip
    assert "0.25" in lines[0] and "0.26" in lines[0] and lines[1].startswith("fig.json: sources: [{}] | []")
    assert lines[2].endswith(f"not in {one}") and "difficulty" in lines[4]


def _run(one: Path, two: Path) -> tuple[int, str]:
    script = Path(__file__).with_name("compare.py")
    done = subprocess.run([sys.executable, script, one, two], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
