import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from synthetic import SETTINGS, curves, evaluations

from raml.claims import decide
from raml.claims.decision import ONE_SEED
from raml.claims.registry import load_registry
from raml.claims.result import ClaimResult
from raml.claims.results import load_results
from raml.config import available_scales, load_scale
from raml.errors import ConfigError, DataError
from raml.report.probed import figures_of, probed_model
from raml.runs import Regime, Series
from raml.schemas import (
    BlockResidual,
    Evaluation,
    ForcedAnswer,
    LandscapePoint,
    OuterLoss,
    ProbeCurve,
    TokenChange,
    WeightUpdate,
)
from raml.step import run
from raml.storage import Provenance, write_table

ROOT = Path(__file__).parents[2]
PROVENANCE = Provenance(scale="tiny", config_hash="c", code_version="v", seed=0)


EMPTY = {
    "roles": TokenChange,
    "landscape": LandscapePoint,
    "updates": WeightUpdate,
    "blocks": BlockResidual,
    "outer": OuterLoss,
    "answers": ForcedAnswer,
}
SERIES = {
    "fig8_short": Series(doses=[1, 2, 4], models=["short_m1", "short_m2", "sft_short"]),
    "fig8_long": Series(doses=[1, 2, 4], models=["long_m1", "long_m2", "sft_long"]),
    "fig9_first": Series(doses=[1, 2], models=["n1_step1", "zero_step1"]),
    "fig9_last": Series(doses=[1, 2], models=["n1", "zero_grpo"]),
}
REGIME = Regime(long_share=0.1, base="base", sft="sft_long", zero_grpo="zero_grpo", sft_grpo="sft_grpo")
SKILLS = {
    "base": 0.1, "sft_short": 0.3, "sft_long": 0.6, "zero_grpo": 0.4, "sft_grpo": 0.7,
    "short_m1": 0.05, "short_m2": 0.1,
    "long_m1": 0.3, "long_m2": 0.45, "n1": 0.2, "n1_step1": 0.3, "zero_step1": 0.1,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Measurements of a scale in which fig3 and all but one of the outer loop hold; fig16 and fig9-speed do not."""
    monkeypatch.chdir(tmp_path)
    for name in ("claims", "reported"):
        shutil.copy(ROOT / f"config/{name}.yaml", tmp_path)
    both = pl.concat([curves(slope, correct=correct, seeds=3) for slope, correct in ((-4.0, True), (-2.0, False))])
    for seed in range(3):
        write_table(both.filter(pl.col("seed") == seed), ProbeCurve, Path(f"curves{seed}.parquet"), PROVENANCE)
    benchmarks = ("rows", "rows_hard", "sorting", "rows_top")
    write_table(
        evaluations(SKILLS, seeds=3, benchmarks=benchmarks), Evaluation, Path("evaluations.parquet"), PROVENANCE
    )
    for name, schema in EMPTY.items():
        write_table(schema.create_empty(), schema, Path(f"{name}.parquet"), PROVENANCE)
    return tmp_path


FIGURES = {"fig3": "sft_long", "fig16": "sft_long", "fig5": "sft_long", "fig12": "base", "fig13": "base"}


def decide_all(out: str = "claims.json", figures: dict[str, str] = FIGURES) -> list[ClaimResult]:
    config = {
        "evaluation": SETTINGS.model_dump(),
        "figures": figures,
        "series": {name: series.model_dump() for name, series in SERIES.items()},
        "regimes": [REGIME.model_dump()],
        "trajectories": 16,
    }
    arguments = ["--scale", "tiny", "--config", json.dumps(config), "--out", out]
    arguments += ["--claims", "claims.yaml", "--reported", "reported.yaml", "--evaluations", "evaluations.parquet"]
    arguments += ["--curves", *(f"curves{seed}.parquet" for seed in range(3))]
    arguments += [part for name in EMPTY for part in (f"--{name}", f"{name}.parquet")]
    inputs = ["claims", "reported"]
    run(decide.main, decide.Job, inputs=inputs, many=list(decide.TABLES), outputs=["out"], arguments=arguments)
    return load_results(Path(out))


def test_every_claim_is_decided_or_says_why_not(folder: Path) -> None:
    results = {result.id: result for result in decide_all()}
    decided = {name: result.verdict for name, result in results.items() if result.measured is not None}
    assert decided == {
        "fig3": "holds", "fig16": "contradicted", "fig7": "holds", "fig7-cross": "holds", "fig8": "holds",
        "fig9": "holds", "fig9-speed": "contradicted", "tab2": "holds", "tab2-grpo": "holds", "tab3": "holds",
    }  # fmt: skip
    assert len(results) == 29
    for name, result in results.items():
        assert result.reason and result.command.startswith("snakemake ")
        assert "{" not in result.command + "".join(result.artifacts)
        if name in decided:
            assert result.interval and result.measured is not None and result.n
            assert result.interval[0] <= result.measured <= result.interval[1]
            assert ONE_SEED not in result.reason
        else:
            assert result.interval is None
            assert result.verdict in {"inconclusive", "not_run"}


def test_results_say_where_they_come_from(folder: Path) -> None:
    results = {result.id: result for result in decide_all()}
    assert results["fig3"].artifacts == [
        "curves0.parquet",
        "curves1.parquet",
        "curves2.parquet",
        "results/tiny/figures/fig3.svg",
    ]
    assert results["tab2"].artifacts == ["evaluations.parquet", "results/tiny/tables/metrics.parquet"]
    assert results["fig3"].command == "snakemake --cores 2 results/tiny/claims.json --config scale=tiny"
    assert results["tab2"].reported
    assert results["tab2"].reported["table2.sft_long"]["AIME24"]["P8"] == 36.69  # type: ignore[index]
    assert results["fig3"].reported is None
    assert results["fig3"].n == {"questions": 40, "trajectories": 240, "seeds": 3, "positions": 7200}


def test_p_values_go_with_the_verdicts_and_holm_with_the_family(folder: Path) -> None:
    results = decide_all()
    tested = [one for one in results if one.verdict != "not_run"]
    assert len(tested) > 10
    for one in results:
        assert one.needs and one.decidable_at is not None
        if one.verdict == "not_run":
            assert (one.p, one.p_holm, one.verdict_holm, one.line, one.needed) == (None,) * 5
            continue
        assert one.line is not None and one.claimed in {"above", "below"}
        decided = one.verdict in {"holds", "contradicted"}
        assert (one.p is not None and one.p < 0.05) == decided
        if one.p is not None and one.p_holm is not None:
            assert one.p <= one.p_holm <= 1
            assert one.verdict_holm == (one.verdict if one.p_holm < 0.05 else "inconclusive")
        else:
            assert (one.p, one.p_holm, one.verdict_holm) == (None, None, "inconclusive")
    smallest = min(one.p_holm for one in tested if one.p_holm is not None)
    assert smallest == pytest.approx(len(tested) / (SETTINGS.bootstrap_resamples + 1))  # all replicates on one side
    by_id = {one.id: one for one in results}
    assert (by_id["fig3"].line, by_id["fig3"].claimed) == (-0.3, "below")
    assert (by_id["fig16"].line, by_id["fig16"].claimed) == (-0.3, "above")
    assert by_id["fig6"].needed == {"questions": 20} and "fewer than 20 questions" in by_id["fig6"].reason
    assert all(one.against_reported is None for one in results)


def test_what_would_decide_an_inconclusive_claim_is_said(folder: Path) -> None:
    close = evaluations({"sft_short": 0.28, "sft_long": 0.28}, questions=20, seeds=2)
    write_table(close, Evaluation, Path("evaluations.parquet"), PROVENANCE)
    tab2 = next(one for one in decide_all() if one.id == "tab2")
    assert tab2.verdict == "inconclusive" and tab2.needed and tab2.n
    assert tab2.needed["questions"] > tab2.n["questions"] or tab2.needed["seeds"] > tab2.n["seeds"]
    assert f"{tab2.needed['questions']} questions would" in tab2.reason and "80% power" in tab2.reason


def test_tables_of_another_scale_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = PROVENANCE.model_copy(update={"scale": "small"})
    write_table(ProbeCurve.create_empty(), ProbeCurve, Path("curves1.parquet"), other)
    with pytest.raises(SystemExit) as exit_:
        decide_all()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: curves1.parquet is of scale 'small', and what is decided are the claims of 'tiny'")
    assert "`snakemake --cores 2 curves1.parquet --config scale=tiny`" in error and error.count("\n") == 1
    assert not Path("claims.json").exists()


def test_two_runs_write_the_same_bytes(folder: Path) -> None:
    decide_all("one.json")
    decide_all("two.json")
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()


def test_a_single_training_seed_is_said_to_leave_training_noise_out(folder: Path) -> None:
    for seed in (1, 2):
        write_table(ProbeCurve.create_empty(), ProbeCurve, Path(f"curves{seed}.parquet"), PROVENANCE)
    results = {result.id: result for result in decide_all()}
    assert ONE_SEED == "one training seed: the interval covers questions, not training noise"
    for name, single in (("fig3", True), ("fig16", True), ("tab2", False)):
        assert results[name].reason.endswith(f"; {ONE_SEED}") == single


def test_a_scale_too_small_to_decide_says_so(folder: Path) -> None:
    for seed in (1, 2):
        write_table(ProbeCurve.create_empty(), ProbeCurve, Path(f"curves{seed}.parquet"), PROVENANCE)
    write_table(curves(-4.0, correct=True, questions=3), ProbeCurve, Path("curves0.parquet"), PROVENANCE)
    small = evaluations({"sft_short": 0.2, "sft_long": 0.6}, questions=3)
    write_table(small, Evaluation, Path("evaluations.parquet"), PROVENANCE)
    results = {result.id: result for result in decide_all()}
    assert {results[name].verdict for name in ("fig3", "fig16", "tab2")} == {"inconclusive"}
    assert results["fig16"].measured is None


@pytest.mark.parametrize(("figure", "claim"), [("fig3", "fig3"), ("fig12", "fig12"), ("fig13", "fig13")])
def test_a_claim_about_another_model_than_its_figure_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], figure: str, claim: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        decide_all(figures=FIGURES | {figure: "sft_short"})
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        f"error: claims.yaml: claim {claim!r}: test.model = {FIGURES[figure]!r}, but by the order of probing.models "
        f"{figure} follows 'sft_short'; change one of the two\n"
    )
    assert not Path("claims.json").exists()


def test_claims_about_models_without_a_figure_are_not_run(folder: Path) -> None:
    results = {result.id: result for result in decide_all(figures={})}
    assert results["fig14"].verdict == "not_run" and results["fig3"].verdict == "holds"


@pytest.mark.parametrize("scale", available_scales(ROOT / "config/scales"))
def test_the_claims_fit_the_figures_of_every_scale(scale: str) -> None:
    models = load_scale(scale, folder=ROOT / "config/scales").probing.models
    figures = {figure: probed_model(figure, models) for figure in figures_of(models)}
    registry = load_registry(ROOT / "config/claims.yaml", ROOT / "config/reported.yaml")
    decide.check_models(registry, figures, Path("config/claims.yaml"))
    backwards = {figure: probed_model(figure, models[::-1]) for figure in figures_of(models)}
    with pytest.raises(ConfigError, match="follows"):
        decide.check_models(registry, backwards, Path("config/claims.yaml"))


def test_a_typo_in_the_claims_ends_with_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("claims.yaml").read_text()
    Path("claims.yaml").write_text(text.replace("    measured:", "    mesured:", 1))
    with pytest.raises(SystemExit) as exit_:
        decide_all()
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith("error: claims.yaml: claim 'prop2.1': ") and error.count("\n") == 1
    assert "mesured" in error
    assert not Path("claims.json").exists()


@pytest.mark.parametrize("text", ["{}", "[]", "[{}]", "[", '[{"id": "fig3"}]'])
def test_malformed_results_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claims.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"claims\.json is n"):
        load_results(path)


def test_missing_results_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="snakemake"):
        load_results(tmp_path / "claims.json")
