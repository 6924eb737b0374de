"""Measuring and deciding as steps: what they write, what they refuse, and reading results back."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from golden import cut
from raml.claims import decide as deciding
from raml.claims.effects import EffectTable
from raml.claims.registry import load_registry
from raml.claims.result import ClaimResult
from raml.claims.results import check_current, load_results, standing
from raml.config import load_scale
from raml.errors import ConfigError, DataError, RamlError
from raml.quantities import measure
from raml.quantities.table import QuantityTable
from raml.schemas import MetricTable, OuterLoss
from raml.step import Step
from raml.storage import Provenance, read_json, read_table, write_json, write_table

CONFIG = cut.ROOT / "config"
REGISTRY = load_registry(CONFIG / "claims.yaml", CONFIG / "reported.yaml")
SOME = ["Pass@8", "mG-Pass@8", "rho/correct", "rho/incorrect"]
MICRO = Provenance(scale="micro", config_hash="c", code_version="v", seed=0)
SMALL = MICRO.model_copy(update={"scale": "small"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some quantities of a small part of a real run."""
    monkeypatch.chdir(tmp_path)
    table = read_table(cut.EXPECTED / "quantities.parquet", QuantityTable).filter(pl.col("quantity").is_in(SOME))
    write_table(table, QuantityTable, tmp_path / "quantities.parquet", MICRO)
    return tmp_path


def decide(out: str = "out", *, scale: str = "micro", claims: Path = CONFIG / "claims.yaml") -> Path:
    settings = cut.scale() if scale == "micro" else load_scale(scale, folder=CONFIG / "scales")
    folder = Path(out)
    inputs = {"quantities": Path("quantities.parquet"), "claims": claims, "reported": CONFIG / "reported.yaml"}
    names = {"effects": "effects.parquet", "out": "claims.json", "metrics": "metrics.parquet"}
    names |= {"metrics_json": "metrics.json", "verdicts": "verdicts.json"}
    outputs = {name: folder / file for name, file in names.items()}
    deciding.main(Step("raml.claims.decide", scale, settings, 0, inputs | outputs, {}))
    return folder


def test_everything_is_written_the_same_twice(folder: Path) -> None:
    one, two = decide("one"), decide("two")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    results = {result.id: result for result in load_results(one / "claims.json", "micro")}
    assert list(results) == [claim.id for claim in REGISTRY.claims]
    effects, metrics = (
        read_table(one / "effects.parquet", EffectTable),
        read_table(one / "metrics.parquet", MetricTable),
    )
    of = {row["effect"]: row for row in effects.iter_rows(named=True)}
    for result in results.values():
        assert "{" not in result.command + "".join(result.artifacts) and result.reason
        for effect in result.effects:
            row = of[effect.name]
            assert (row["estimate"], row["lower"], row["upper"]) == (
                effect.estimate,
                *(effect.interval or (None, None)),
            )
    assert results["fig3"].artifacts[0] == "results/micro/probes/seed11/sft_long/curves.parquet"
    assert results["tab2"].artifacts == ["results/micro/evaluations/evaluations.parquet"]
    assert results["tab2"].reported and results["tab2"].against_reported is None  # not the paper's questions
    assert results["fig5"].verdict == "not_run" and results["fig5"].reason.startswith(
        "Not measured at this scale: first half-way"
    )
    assert set(metrics["metric"]) == {"Pass@8", "mG-Pass@8"} and set(metrics["n_questions"]) == {8}
    rows = metrics.filter(model="sft_long", benchmark="rows", metric="Pass@8")
    assert read_json(one / "metrics.json")["sft_long"]["rows"]["Pass@8"] == rows["value"][0]
    verdicts = read_json(one / "verdicts.json")
    assert verdicts["fig3"]["verdict"] == "holds" and verdicts["fig4"] == {"verdict": "not_run"}
    assert set(verdicts["fig3"]["effects"]["rho/correct of sft_long on all benchmarks"]) == {
        "estimate",
        "lower",
        "upper",
    }


def test_a_claim_about_a_probed_model_that_a_scale_lacks_is_not_run(folder: Path) -> None:
    minimal = load_scale("minimal", folder=CONFIG / "scales")
    quantities = deciding.read_quantities(Path("quantities.parquet"), cut.scale(), 0)
    results = {one.id: one for one in deciding.decide(REGISTRY, quantities, minimal)}
    assert results["fig14"].verdict == "not_run"
    assert results["fig14"].reason.endswith("(correct trajectories) of a third probed model.")


def test_quantities_of_another_scale_and_broken_ones_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="of scale 'micro', and what is decided are the claims of 'minimal'"):
        decide(scale="minimal")
    path = Path("quantities.parquet")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(RamlError) as error:
        decide()
    assert "quantities.parquet" in str(error.value) and "\n" not in str(error.value)
    assert not Path("out").exists()


def test_a_mistake_in_the_claims_is_told_before_anything_is_written(folder: Path) -> None:
    text = (CONFIG / "claims.yaml").read_text()
    for old, new, said in (
        ("    measured:", "    mesured:", "mesured"),
        ("'{probed0}'", "'{prob}'", "unknown name 'prob'"),
    ):
        Path("claims.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=rf"^claims\.yaml: claim 'prop2\.1': .*{said}") as error:
            decide(claims=Path("claims.yaml"))
        assert "\n" not in str(error.value) and not Path("out").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: write_table(OuterLoss.create_empty(), OuterLoss, path, SMALL),
         "outer.parquet is of scale 'small', and what is decided are the claims of 'micro'; scales are not mixed"),
        (lambda path: path.write_bytes((cut.MICRO / cut.paths("outer")[0]).read_bytes()[:-500]), "outer.parquet"),
        (lambda path: pl.DataFrame({"model": ["m"]}).write_parquet(path), "outer.parquet"),
    ],
    ids=["another scale", "truncated", "another table"],
)  # fmt: skip
def test_measurements_that_cannot_be_used_are_refused(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(Path("outer.parquet"))
    step = cut.measuring(Path("new.parquet"))
    step.lists["outer"].append(Path("outer.parquet"))
    with pytest.raises(RamlError) as error:
        measure.main(step)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not list(Path().glob("*new.parquet*"))


def result(name: str, verdict: str = "holds", holm: str | None = None, **changes: object) -> ClaimResult:
    of = next(one for one in REGISTRY.claims if one.id == name)
    plain = {
        "id": name, "exhibit": of.exhibit, "statement": of.statement, "paper": of.paper, "quantity": of.measured,
        "reported": None, "verdict": verdict, "verdict_holm": holm or verdict, "reason": "-", "needs": of.needs,
        "decidable_at": of.decidable_at, "command": of.command.replace("{scale}", "micro"),
    }  # fmt: skip
    return ClaimResult.model_validate(plain | changes)


def test_what_stands_after_correction_is_one_sentence() -> None:
    found = [
        result("fig3"), result("fig2", "contradicted"), result("fig5", "holds", "inconclusive"), result("tab2"),
        result("fig4", "not_run"), result("prop2.1", by_construction=True),
    ]  # fmt: skip
    assert standing(found) == (
        "After Holm's correction for 5 tests 2 hold (fig3, tab2) and 1 are contradicted (fig2); beside them prop2.1, "
        "by construction."
    )
    assert standing([result("fig5", "inconclusive")]) == "After Holm's correction for 1 tests nothing is decided."


def test_results_are_read_back_and_known_to_be_stale(tmp_path: Path) -> None:
    path, whole = tmp_path / "claims.json", [result(one.id) for one in REGISTRY.claims]
    write_json([one.model_dump(mode="json") for one in whole], path)
    assert load_results(path, "micro") == whole and check_current(whole, CONFIG, path, "micro") is None
    for found, said in (
        (whole[1:], "claim 'prop2.1' is new"),
        ([result("prop2.1", statement="x"), *whole[1:]], "says something else now"),
        ([result("prop2.1", needs="x"), *whole[1:]], "was decided by an older version"),
        ([*whole, result("fig3", id="fig3-old")], "claim 'fig3-old' is gone"),
    ):  # fmt: skip
        stale = check_current(found, CONFIG, path, "micro")
        assert stale and said in stale and "decide again with `snakemake --cores 2 " in stale
    with pytest.raises(DataError, match="holds results of scale 'micro'; do not copy results between scales"):
        load_results(path, "small")
    with pytest.raises(DataError, match="does not exist; make it with `snakemake"):
        load_results(tmp_path / "none.json", "micro")
    for text in ("{}", "[]", "[{}]", "[", '[{"id": "fig3"}]'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"claims\.json is n"):
            load_results(path)
