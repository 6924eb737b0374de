"""The judge: verdicts on effects and claims, the rules that guard them, and the words for both."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic import around, claim, quantities, quantity, registry

from raml.claims.judge import ONE_SEED, Names, judge, judge_all
from raml.claims.registry import Claim
from raml.claims.result import ClaimResult

REGIME = {"base": "base", "zero_grpo": "zero_grpo", "sft": "sft_long", "sft_grpo": "sft_grpo"}
NAMES = Names({"k": 8, "n": 16, "probed0": "sft_long"}, [REGIME])
TWO = [{"quantity": ["Pass@8", "mG-Pass@8"], "model": "sft_long", "baseline": "sft_short", "over": "trained families"}]


def decided(one: Claim, *tables: pl.DataFrame, scale: str = "micro") -> ClaimResult:
    return judge(one, registry(one), quantities(*tables), NAMES, scale)[0]


def scores(means: Mapping[str, float], name: str = "Pass@8", spread: float = 0.02, **changes: Any) -> pl.DataFrame:
    """Of models, whose noise differs."""
    cells = {model: around(mean, spread, seed=place, seeds=3) for place, (model, mean) in enumerate(means.items())}
    return pl.concat([quantity(name, model, of, **changes) for model, of in cells.items()])


@pytest.mark.parametrize(
    ("mean", "above", "below"),
    [(0.7, "holds", "contradicted"), (0.3, "contradicted", "holds"), (0.51, "inconclusive", "inconclusive")],
)
def test_an_effect_lies_on_a_side_of_its_threshold_or_spans_it(mean: float, above: str, below: str) -> None:
    for side, verdict in (("above", above), ("below", below)):
        one = decided(claim(side=side), quantity("Pass@8", "sft_long", around(mean, seeds=3)))
        assert (one.verdict, one.effects[0].verdict, one.effects[0].side) == (verdict, verdict, side)
        assert one.p is not None and (one.p < 0.05) == (verdict != "inconclusive")
        said = f"lies {'above' if mean > 0.5 else 'below'} 50%." if verdict != "inconclusive" else "either side of 50%."
        assert one.reason.startswith("Pass@8 of SFT long ") and one.reason.endswith(said)
        assert one.measured == {"Pass@8 of sft_long on all benchmarks": pytest.approx(mean)}
        assert one.n == {"questions": 30, "seeds": 3} and one.effects[0].unit == "share"
        assert one.interval and one.effects[0].interval == one.interval["Pass@8 of sft_long on all benchmarks"]


@pytest.mark.parametrize(
    ("leads", "together", "either"),
    [
        ((0.2, 0.2), "holds", "holds"), ((0.2, 0.002), "inconclusive", "holds"), ((0.2, -0.2), "contradicted", "holds"),
        ((0.002, -0.2), "contradicted", "inconclusive"), ((-0.2, -0.2), "contradicted", "contradicted"),
    ],
)  # fmt: skip
def test_all_must_hold_or_any_suffices(leads: tuple[float, float], together: str, either: str) -> None:
    tables = [
        scores({"sft_long": 0.5 + lead, "sft_short": 0.5}, name)
        for lead, name in zip(leads, ("Pass@8", "mG-Pass@8"), strict=True)
    ]
    assert decided(claim(all=TWO, threshold=0.0), *tables).verdict == together
    one = decided(claim(all=None, any=TWO, threshold=0.0), *tables)
    assert (one.verdict, one.combine) == (either, "any")
    if leads == (0.2, 0.002):
        assert one.reason == "Pass@8 of SFT long less SFT short lies above 0."
        both = decided(claim(all=TWO, threshold=0.0), *tables)
        assert both.reason == "mG-Pass@8 of SFT long less SFT short may lie on either side of 0."
        assert both.needed and f"about {both.needed['questions']} questions" in both.limits
    if leads == (0.2, 0.2):
        assert one.reason == "Pass@8 and mG-Pass@8 of SFT long less SFT short lie above 0."


def test_entries_may_have_sides_and_thresholds_of_their_own() -> None:
    shorter = {"quantity": "tokens", "model": "sft_long", "side": "below", "threshold": 12}
    tables = [quantity("Pass@8", "sft_long", around(0.7)), quantity("tokens", "sft_long", around(10))]
    both = [{"quantity": "Pass@8", "model": "sft_long"}, shorter]
    one = decided(claim(all=both), *tables)
    assert one.verdict == "holds" and [effect.threshold for effect in one.effects] == [0.5, 12]
    assert one.reason == "Pass@8 of SFT long lies above 50%; tokens of an answer of SFT long lies below 12."
    assert decided(claim(all=[both[0], shorter | {"side": "above"}]), *tables).verdict == "contradicted"


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_level_needs_room(end: float) -> None:
    """Two models that never, or always, succeed are level for lack of information."""
    tables = [
        scores({"sft_long": abs(end - 0.01), "sft_short": abs(end - 0.015)}, name, 0.001)
        for name in ("Pass@8", "mG-Pass@8")
    ]
    level = {"all": TWO, "threshold": -0.02}
    assert decided(claim(**level), *tables).verdict == "holds"
    one = decided(claim(**level, level_needs_room=True), *tables)
    where = "saturated" if end else "at the floor"
    assert one.verdict == "inconclusive" and one.p == 1.0 and one.needed is None
    assert one.reason == f"Pass@8 and mG-Pass@8 of SFT long less SFT short show nothing: both models are {where}."
    room = [scores({"sft_long": 0.05, "sft_short": 0.0}, name, 0.001) for name in ("Pass@8", "mG-Pass@8")]
    assert decided(claim(**level, level_needs_room=True), *room).verdict == "holds"
    either = claim(all=None, any=TWO, side="below", threshold=0.02, level_needs_room=True)
    assert decided(either, *tables).verdict == "inconclusive"


def test_too_few_questions_decide_nothing_however_clear() -> None:
    one = decided(claim(), quantity("Pass@8", "sft_long", around(0.9, questions=19, seeds=3)))
    assert (one.verdict, one.p) == ("inconclusive", None) and one.effects[0].interval
    assert one.reason == "Pass@8 of SFT long: 19 of the 20 questions that the claim asks for."
    alone = decided(claim(), quantity("Pass@8", "sft_long", [[0.9], [0.8]]))
    assert (
        alone.effects[0].estimate == pytest.approx(0.85) and alone.interval == {} and alone.needed == {"questions": 20}
    )
    assert alone.limits == ""
    alike = quantity("trend/Pass@8", "fig8_long", around(0.5), weights=0.0)
    none = decided(claim(all=[{"quantity": "trend/Pass@8", "model": "fig8_long"}]), alike)
    assert none.verdict == "inconclusive" and none.measured == {} and none.effects[0].questions == 0


def test_a_claim_about_what_is_absent_is_not_run_and_says_what() -> None:
    one, evidence = judge(
        claim(all=TWO, threshold=0.0), registry(), quantities(scores({"sft_long": 0.5})), NAMES, "micro"
    )
    assert (one.verdict, one.p, one.effects, evidence) == ("not_run", None, [], None)
    assert one.reason == (
        "Not measured at this scale: Pass@8 of SFT long less SFT short; mG-Pass@8 of SFT long less SFT short."
    )
    near = decided(claim(all=[TWO[0] | {"over": "within domain"}], threshold=0.0), scores({"sft_long": 0.5}))
    assert near.verdict == "not_run"
    cold = [{"quantity": "Pass@8", "model": "sft_grpo", "baseline": "zero_grpo", "each": "regimes"}]
    without = judge(claim(all=cold), registry(), quantities(scores({"a": 0.5})), Names({}, []), "micro")[0]
    assert (without.verdict, without.reason) == ("not_run", "This scale trains no such models.")
    untested = decided(claim(all=None, not_run="not built yet", decidable_at=[]), scores({"a": 0.5}))
    assert (untested.verdict, untested.reason, untested.combine) == ("not_run", "not built yet", None)


def test_every_regime_has_to_lead() -> None:
    cold = [{"quantity": "Pass@{k}", "model": "sft_grpo", "baseline": "zero_grpo", "each": "regimes"}]
    second = {"base": "b2", "zero_grpo": "zero_grpo_p0", "sft": "s2", "sft_grpo": "sft_grpo_p0"}
    table = scores({"sft_grpo": 0.7, "zero_grpo": 0.5, "sft_grpo_p0": 0.3, "zero_grpo_p0": 0.5})
    one = claim(all=cold, threshold=0.0)
    for regimes, verdict in (([REGIME], "holds"), ([REGIME, second], "contradicted")):
        found = judge(one, registry(one), quantities(table), Names({"k": 8}, regimes), "micro")[0]
        assert (found.verdict, len(found.effects)) == (verdict, len(regimes))
    assert found.reason == "Pass@8 of SFT+GRPO (0% long) less Zero-GRPO (0% long) lies below 0."


def test_limits_name_single_benchmarks_floors_seeds_and_what_holds_by_construction() -> None:
    def lead(of: float, benchmark: str, base: float = 0.5) -> pl.DataFrame:
        return scores({"sft_long": base + of, "sft_short": base}, benchmark=benchmark)

    one = claim(all=[{"quantity": "Pass@8", "model": "sft_long", "baseline": "sft_short"}], threshold=0.0)
    mixed = decided(one, lead(0.3, "rows"), lead(-0.1, "path"), lead(0.0, "hard", 0.0), lead(0.3, "far"))
    assert mixed.verdict == "holds"
    assert mixed.limits == "On path alone it is contradicted; on hard Pass@8 is at the floor."
    worse = decided(one, lead(-0.4, "rows"), lead(0.1, "path"), lead(0.1, "near"))
    assert (worse.verdict, worse.limits) == ("contradicted", "On path and near alone it holds.")
    few = lead(-0.1, "path").filter(pl.col("question_id") < "path-010")
    assert decided(one, lead(0.3, "rows"), few).limits == ""  # ten questions alone say nothing
    single = quantity("Pass@8", "sft_long", around(0.9))
    assert decided(claim(), single).limits == f"{ONE_SEED[0].upper()}{ONE_SEED[1:]}."
    built = claim(by_construction="It could not come out otherwise.", by_construction_at=["micro"])
    assert decided(built, single).limits.startswith("It could not come out otherwise. With one training seed")
    assert decided(built, single).by_construction
    paper = decided(built, single, scale="paper")
    assert not paper.by_construction and "otherwise" not in paper.limits


def test_seeds_that_disagree_leave_a_claim_open_and_ask_for_more_seeds() -> None:
    cells = around(0.55, 0.02, seeds=3) + np.array([[0.2], [-0.2], [0.0]])
    one = decided(claim(), quantity("Pass@8", "sft_long", cells))
    assert one.verdict == "inconclusive" and one.needed and one.needed["seeds"] > 3
    assert f"{one.needed['seeds']} training seeds" in one.limits


def test_holms_correction_counts_all_tested_claims() -> None:
    models = {"fig3": 0.9, "fig3-b": 0.55, "fig3-c": 0.5, "fig3-d": None}
    claims = [
        claim(id=name, all=[{"quantity": "Pass@8", "model": name}]) for name in models
    ] + [claim(id="fig3-e", all=None, not_run="-", decidable_at=[])]  # fmt: skip
    cells = [quantity("Pass@8", name, around(mean, 0.2)) for name, mean in models.items() if mean is not None]
    cells.append(quantity("Pass@8", "fig3-d", around(0.9, questions=5)))
    found = judge_all(registry(*claims), quantities(*cells), NAMES, "micro")
    first, second, third, few, untested = found
    assert [one.verdict for one in found] == ["holds", "inconclusive", "inconclusive", "inconclusive", "not_run"]
    assert first.p == 1 / 1001 and first.p_holm == pytest.approx(4 / 1001) and first.verdict_holm == "holds"
    assert second.p and second.p_holm == pytest.approx(3 * second.p) and third.p_holm == 1.0
    assert (few.p, few.p_holm, few.verdict_holm) == (None, None, "inconclusive")
    assert (untested.p_holm, untested.verdict_holm) == (None, None)


def test_a_verdict_that_does_not_survive_the_correction() -> None:
    names = [f"fig3-{place}" for place in range(10)]
    claims = [claim(id=name, all=[{"quantity": "Pass@8", "model": name}]) for name in names]
    means = [0.58, *[0.5] * 9]
    cells = [quantity("Pass@8", name, around(mean, 0.22)) for name, mean in zip(names, means, strict=True)]
    first = judge_all(registry(*claims), quantities(*cells), NAMES, "micro")[0]
    assert (first.verdict, first.verdict_holm) == ("holds", "inconclusive") and first.p_holm == pytest.approx(
        10 * (first.p or 1)
    )
