import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from raml.claims.registry import load_registry, tolerance_of
from raml.claims.sections import BestOrLevel, CurveTrend
from raml.config import available_scales, load_scale
from raml.errors import ConfigError

ROOT = Path(__file__).parents[2]
CLAIMS, REPORTED = ROOT / "config/claims.yaml", ROOT / "config/reported.yaml"

FIGURES = {f"fig{number}" for number in range(2, 17) if number != 10}
EXHIBITS = FIGURES | {"prop2.1", "tab1", "tab2", "tab3", "sec4.3"}

Claims = list[dict[str, Any]]


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[Callable[[Claims], Any]], str]:
    """The one-line error of the claims file after an edit."""

    def error_of(edit: Callable[[Claims], Any]) -> str:
        raw = yaml.safe_load(CLAIMS.read_text())
        edit(raw["claims"])
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump(raw))
        with pytest.raises(ConfigError) as error:
            load_registry(path, REPORTED)
        assert error.value.exit_code == 2
        assert "\n" not in str(error.value) and str(path) in str(error.value)
        return str(error.value)

    return error_of


def by_id(claims: Claims, name: str) -> dict[str, Any]:
    return next(claim for claim in claims if claim["id"] == name)


def test_every_exhibit_has_a_claim() -> None:
    registry = load_registry(CLAIMS, REPORTED)
    assert {claim.exhibit for claim in registry.claims} == EXHIBITS
    assert {claim.id for claim in registry.claims} >= EXHIBITS


def test_what_is_decided_now() -> None:
    tests = {claim.id: claim.test for claim in load_registry(CLAIMS, REPORTED).claims if claim.test}
    inner_loop = {"prop2.1", "fig2", "fig3", "fig5", "fig6", "fig12", "fig13", "fig14", "fig15", "fig16"}
    outer_loop = {"tab1", "tab2", "tab3", "fig7", "fig8", "fig9"}
    assert {name.split("-")[0] for name in tests} == {*inner_loop, *outer_loop, "fig11"}
    assert {tests[name].model for name in ("fig12", "fig13", "fig13-worse")} == {"base"}  # type: ignore[union-attr]
    assert {tests[name].model for name in ("fig14", "fig15", "fig15-worse")} == {"sft_short"}  # type: ignore[union-attr]
    assert isinstance(tests["fig3"], CurveTrend) and isinstance(tests["fig16"], CurveTrend)
    assert (tests["fig3"].trajectories, tests["fig3"].direction) == ("correct", "falls")
    assert (tests["fig16"].trajectories, tests["fig16"].direction) == ("incorrect", "does_not_fall")
    assert tests["fig3"].minimal_effect == tests["fig16"].minimal_effect
    assert isinstance(tests["tab2"], BestOrLevel)
    assert (tests["tab2"].model, tests["tab2"].baseline) == ("sft_long", "sft_short")


def test_reported_numbers_are_the_papers() -> None:
    registry = load_registry(CLAIMS, REPORTED)
    reported = {claim.id: registry.reported_of(claim) or {} for claim in registry.claims}
    long, short = reported["tab2"]["table2.sft_long"], reported["tab2"]["table2.sft_short"]
    assert long["AIME24"] == {"P8": 36.69, "mG8": 10.29}  # type: ignore[index]
    assert short["LiveMathBench-Hard"] == {"P8": 26.77, "mG8": 7.43}  # type: ignore[index]
    assert reported["tab2-grpo"]["table2.zero_grpo"]["MATH500-L5"]["P8"] == 71.66  # type: ignore[index]
    assert reported["tab3"]["table3.sft_then_grpo"]["LiveMathBench-Hard"]["mG8"] == 18.84  # type: ignore[index]
    assert reported["fig6"]["figure6"]["Hold on"] == 279.5  # type: ignore[index]
    assert reported["fig11"]["figure11"]["AIME24"]["Avg16"]["summarised"] == 39.79  # type: ignore[index]
    assert reported["fig3"] == {}


def test_every_number_of_the_paper_is_there_and_has_a_tolerance() -> None:
    registry = load_registry(CLAIMS, REPORTED)
    numbers = {claim.id: registry.numbers_of(claim) for claim in registry.claims}
    assert {name: len(found) for name, found in numbers.items() if found} == {
        "fig6": 6, "fig11": 18, "fig11-tokens": 18, "tab2": 12, "tab2-grpo": 18, "tab3": 12,
    }  # fmt: skip
    tab2 = next(claim for claim in registry.claims if claim.id == "tab2")
    assert tolerance_of(tab2, "table2.sft_long.AIME24.P8") == 10.0
    assert tolerance_of(tab2, "table2.sft_long.MATH500-L5.mG8") == 5.0
    assert tolerance_of(tab2, "figure6.Wait") is None
    used = {key.split(".")[0] for claim in registry.claims for key in claim.reported}
    assert set(registry.reported) - used == {"settings", "reference_timings"}  # what no claim is about
    assert registry.reported["settings"]["reward"]["correct_but_unformatted"] == -0.5
    assert registry.reported["reference_timings"]["landscape"]["seconds"] == 2746


def test_every_test_says_its_direction_and_every_claim_what_it_needs() -> None:
    raw = yaml.safe_load(CLAIMS.read_text())["claims"]
    for claim in raw:
        assert claim["needs"] and (claim["decidable_at"] or "not_run" in claim)
        if "test" in claim:
            assert claim["test"]["direction"] and claim["test"]["why"] and claim["test"]["min_questions"] >= 20
            assert {"minimal_effect", "margin", "tolerance", "least_accuracy"} & set(claim["test"])
    scales = {scale for claim in raw for scale in claim["decidable_at"]}
    assert scales == {"micro", "small", "paper"} and scales <= set(available_scales(ROOT / "config/scales"))


@pytest.mark.parametrize("scale", ["micro", "small", "paper"])
def test_scales_that_can_decide_ask_for_enough_questions(scale: str) -> None:
    settings = load_scale(scale, folder=ROOT / "config/scales")
    asked = {"fig2": settings.landscape.questions, "prop2.1": settings.updates.questions}
    for claim in load_registry(CLAIMS, REPORTED).claims:
        if claim.test is not None and claim.exhibit in asked:
            assert (asked[claim.exhibit] >= claim.test.min_questions) == (scale in claim.decidable_at)


def test_margin_counts_the_papers_own_deficit_as_level() -> None:
    registry = load_registry(CLAIMS, REPORTED)
    tab2 = next(claim for claim in registry.claims if claim.id == "tab2")
    reported = registry.reported["table2"]
    differences = [
        reported["sft_long"][benchmark][metric] - reported["sft_short"][benchmark][metric]
        for benchmark in reported["sft_long"]
        if benchmark != "source"
        for metric in ("P8", "mG8")
    ]
    assert isinstance(tab2.test, BestOrLevel)
    assert min(differences) == pytest.approx(-1.62)
    assert -100 * tab2.test.margin < min(differences)


def test_commands_and_artifacts_have_no_other_placeholder() -> None:
    for claim in load_registry(CLAIMS, REPORTED).claims:
        for text in [claim.command, *claim.artifacts]:
            assert set(re.findall(r"\{.*?\}", text)) <= {"{scale}"}


Broken = Callable[[Callable[[Claims], Any]], str]


def test_unknown_keys_are_named_with_what_is_allowed(broken: Broken) -> None:
    error = broken(lambda claims: by_id(claims, "fig3").update(statment="x"))
    assert "claim 'fig3': unknown key statment; allowed here: artifacts, command" in error
    error = broken(lambda claims: by_id(claims, "fig3")["test"].update(minimal_efect=0.1))
    assert "unknown key test.curve_trend.minimal_efect" in error
    assert "min_positions, min_questions, minimal_effect" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": None}, "needs either `test` or `not_run`"),
        ({"not_run": "later"}, "needs either `test` or `not_run`"),
        ({"exhibit": "fig10"}, "exhibit = 'fig10'"),
        ({"exhibit": "fig2"}, "id must be 'fig2' or begin with 'fig2-'"),
        ({"statement": ""}, "statement = ''"),
        ({"reported": ["table9"]}, "reported names 'table9'"),
        ({"reported": ["table2.sft_log"]}, "reported names 'table2.sft_log'"),
        ({"decidable_at": []}, "decidable_at must name a scale"),
        ({"decidable_at": ["mikro"]}, "decidable_at.0 = 'mikro'"),
        ({"needs": ""}, "needs = ''"),
        ({"reported": ["figure6"]}, "figure6.avg is reported and has no tolerance"),
        ({"tolerance": {"of": {"AIME24": 1.0}, "why": "-"}}, "tolerance.of names 'AIME24', a part of no reported"),
        ({"tolerance": {"of": {"AIME24": -1.0}, "why": "-"}}, "tolerance.of.AIME24 = -1.0"),
    ],
)
def test_bad_claims_are_refused(broken: Broken, change: dict[str, Any], message: str) -> None:
    error = broken(lambda claims: by_id(claims, "fig3").update(change))
    assert "'fig3'" in error and message in error


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("minimal_effect", -0.3, "minimal_effect = -0.3"),
        ("minimal_effect", float("nan"), "minimal_effect"),
        ("min_questions", 1, "min_questions = 1"),
        ("direction", "rises", "direction = 'rises'"),
        ("name", "vote", "'curve_trend', 'mode_pair'"),
    ],
)
def test_bad_tests_are_refused(broken: Broken, key: str, value: object, message: str) -> None:
    assert message in broken(lambda claims: by_id(claims, "fig3")["test"].update({key: value}))


def test_repeated_ids_and_missing_exhibits_are_refused(broken: Broken) -> None:
    assert "id 'fig2' is used twice" in broken(lambda claims: claims.append(by_id(claims, "fig2")))
    assert "no claim for fig2" in broken(lambda claims: claims.remove(by_id(claims, "fig2")))
    assert "claim 'number 1': missing key id" in broken(lambda claims: claims[0].pop("id"))
    assert "claim 'number 1'" in broken(lambda claims: claims.insert(0, "fig99"))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["claims: [", "- 1", "claim: []", "claims: {}", ""])
def test_malformed_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"claims\.yaml"):
        load_registry(path, REPORTED)
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        load_registry(tmp_path / "none.yaml", REPORTED)


def test_a_trend_leaves_out_benchmarks_of_its_own_series_alone(
    broken: Callable[[Callable[[Claims], Any]], str],
) -> None:
    def edit(claims: Claims) -> None:
        by_id(claims, "fig9")["test"]["left_out"] = {"fig8_short": ["path"]}

    assert "left_out names 'fig8_short', which is none of the series fig9_last" in broken(edit)
