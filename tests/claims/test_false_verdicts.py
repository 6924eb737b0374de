"""How often whole decisions are wrong where an effect lies exactly on its threshold, on data shaped like ours.

Of an interval of 95% at most 2.5% lie wholly on either side of the truth; 5% is the bound. Claims of the registry
decide, with the truth for a threshold where theirs is another.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dose_response import BENCHMARKS, MEANS, sweep
from dose_response import K as K_OF_SWEEPS
from scipy.stats import binom
from simulated import K, N, curves, right, scores
from synthetic import quantity

from raml.claims.effects import Quantities
from raml.claims.evidence import Condition, Evidence, all_of, holm
from raml.claims.judge import Names, judge
from raml.claims.registry import Claim, load_registry
from raml.claims.result import ClaimResult
from raml.evaluation.intervals import Bootstrap
from raml.quantities.curves import curve_quantities
from raml.quantities.scores import trend_quantities
from raml.quantities.table import complete

ROOT = Path(__file__).parents[2]
REGISTRY = load_registry(ROOT / "config/claims.yaml", ROOT / "config/reported.yaml")
CLAIMS = {one.id: one for one in REGISTRY.claims}
NAMES = Names({"k": K, "probed0": "sft_long"}, [])
EQUAL = ("base", "sft_short", "sft_long", "zero_grpo")


def with_threshold(name: str, threshold: float) -> Claim:
    return CLAIMS[name].model_copy(update={"threshold": threshold})


BEAT_ALL = with_threshold("fig7", 0.0)
ONE = BEAT_ALL.entries[0].model_copy(update={"model": "sft_long"})
DECIDED = {
    "beats": BEAT_ALL.model_copy(update={"all": [ONE]}),
    "beats of three": BEAT_ALL,
    "level": with_threshold("tab2", 0.0),
    "not dominated": with_threshold("tab2-grpo", 0.0),
}


def decide(claim: Claim, quantities: Quantities) -> tuple[ClaimResult, Evidence]:
    result, evidence = judge(claim, REGISTRY, quantities, NAMES, "micro")
    assert evidence is not None
    return result, evidence


def verdicts(
    claim: Claim, skill: float, seeds: int, questions: int, luck: float, data_sets: int
) -> tuple[Counter[str], Counter[str]]:
    """How often each verdict comes of equal models, and how often with a corrected p below 5%."""
    rng = np.random.default_rng(23)
    plain: Counter[str] = Counter()
    corrected: Counter[str] = Counter()
    domain = "within_domain" if claim.exhibit == "fig7" else "in_domain"
    for number in range(data_sets):
        counts = right(rng, dict.fromkeys(EQUAL, skill), seeds, questions, luck)
        result, evidence = decide(claim, Quantities(scores(counts, domain), Bootstrap(number, 400, 0.95)))
        plain[result.verdict] += 1
        if evidence.corrected is not None and evidence.corrected < 0.05:
            corrected[result.verdict] += 1
    return plain, corrected


def too_many(wrong: int, of: int) -> bool:
    """Whether so many are unlikely (1%) where the rate is 5%."""
    return bool(binom.sf(wrong - 1, of, 0.05) < 0.01)


@pytest.mark.parametrize("name", ["beats", "level", "not dominated"])
def test_equal_models(name: str) -> None:
    plain, corrected = verdicts(DECIDED[name], -1.0, 3, 48, 0.4, 40)
    assert not too_many(plain["holds"], 40)
    assert not too_many(corrected["contradicted"], 40) and not too_many(corrected["holds"], 40)
    assert plain["inconclusive"] >= 30


def test_models_at_the_floor() -> None:
    plain, _ = verdicts(DECIDED["not dominated"], -4.5, 1, 48, 0.0, 25)
    assert not too_many(plain["holds"] + plain["contradicted"], 25)


def test_no_thinking_curves_that_end_higher_by_just_the_threshold() -> None:
    claim, rng, found = CLAIMS["fig5-worse"], np.random.default_rng(5), Counter[str]()
    for number in range(15):
        table = curve_quantities(curves(rng, 0.45, 3, 30, 0.2, pause=claim.threshold or 0.0))
        rows = complete(table, {"rows": "in_domain"})
        found[decide(claim, Quantities(rows, Bootstrap(number, 400, 0.95)))[0].verdict] += 1
    assert not too_many(found["holds"], 15) and not too_many(found["contradicted"], 15)


def trends(data_sets: int, noise: float, means: tuple[float, ...]) -> Counter[str]:
    """Verdicts on fig8's long series where the models differ by chance alone and the threshold is 0."""
    claim = with_threshold("fig8", 0.0)
    claim = claim.model_copy(update={"all": [one for one in claim.entries if one.model == "fig8_long"]})
    found: Counter[str] = Counter()
    for number in range(data_sets):
        table, series = sweep(training_noise=noise, means=means, questions=20, seed=number, samples=(16, 16, 16, 32))
        rows = complete(trend_quantities(table, {"fig8_long": series}, K_OF_SWEEPS), BENCHMARKS)
        found[decide(claim, Quantities(rows, Bootstrap(number, 400, 0.95)))[0].verdict] += 1
    return found


@pytest.mark.parametrize(("noise", "means"), [(0.3, MEANS), (0.0, (-3.0, -3.5))], ids=["seeds differ", "at the floor"])
def test_sweeps_without_an_effect(noise: float, means: tuple[float, ...]) -> None:
    found = trends(20, noise, means)
    assert not too_many(found["holds"], 20) and found["inconclusive"] >= 12


def test_a_mean_on_its_threshold_seldom_decides() -> None:
    """The false `holds` of fig3, with a true mean rho just where it stops being one: 2.5% by design."""
    claim, rng, holds = CLAIMS["fig3"], np.random.default_rng(0), 0
    for number in range(100):
        rows = quantity("rho/correct", "sft_long", rng.normal(claim.threshold or 0, 0.25, size=(1, 40)))
        holds += decide(claim, Quantities(rows, Bootstrap(number, 400, 0.95)))[0].verdict == "holds"
    assert holds <= 8  # at a rate of 2.5% more have a chance under 0.3%


def test_a_rival_that_dominates_by_just_the_margin_seldom_passes() -> None:
    """False `holds` where the lead equals the margin in both metrics: 5% at most by design, as either may miss."""
    claim, rng, holds, margin = with_threshold("tab2-grpo", 1 / 16), np.random.default_rng(0), 0, 1 / 16
    for number in range(60):
        model = rng.random(40) < 0.4
        rival = np.where(rng.random(40) < margin / 0.6, True, model)  # right more often, on whole questions
        of = {"sft_long": model, "zero_grpo": rival}
        rows = [quantity(f"{name}@{K}", one, right, n=N) for name in ("Pass", "mG-Pass") for one, right in of.items()]
        holds += decide(claim, Quantities(pl.concat(rows), Bootstrap(number, 300, 0.95)))[0].verdict == "holds"
    assert holds <= 12


def condition(rng: np.random.Generator, number: int) -> Condition:
    """One effect on 30 questions, claimed to lie above 0."""
    interval = Bootstrap(number, 500, 0.95).mean(0.3 * rng.standard_normal((1, 30)), student=True)
    verdict = "inconclusive" if not interval.excludes(0.0) else "holds" if interval.lower > 0 else "contradicted"
    return Condition(interval, verdict, "above", 0.0, 30, 20)


def test_holm_keeps_the_family() -> None:
    """Ten claims of 1 to 3 effects each on their thresholds: few families have one that Holm lets be decided."""
    rng = np.random.default_rng(0)
    wrong = uncorrected = 0
    for number in range(50):
        evidence = [all_of([condition(rng, number) for _ in range(1 + claim % 3)]) for claim in range(10)]
        adjusted = holm([one.corrected for one in evidence])
        wrong += any(p is not None and p < 0.05 for p in adjusted)
        uncorrected += any(one.p is not None and one.p < 0.05 for one in evidence)
    assert not too_many(wrong, 50)
    assert uncorrected > 10  # without any correction many families have one


@pytest.mark.simulation
@pytest.mark.parametrize("means", [MEANS, (-3.0, -3.5, -4.0)], ids=["as ours", "near the floor"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_sweeps_without_an_effect_long(noise: float, means: tuple[float, ...]) -> None:
    found = trends(100, noise, means)
    print(f"holds {found['holds']}, contradicted {found['contradicted']} of 100")
    assert found["holds"] <= 10  # at a rate of 3.2% the chance of more is 0.04%
    assert found["contradicted"] <= 14  # of either metric one may be


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("skill", "seeds", "questions", "luck"),
    [(-1.0, 1, 48, 0.0), (-1.0, 3, 20, 0.3), (-1.0, 3, 48, 0.6), (-1.0, 3, 144, 0.3), (-3.5, 3, 48, 0.3)],
)
@pytest.mark.parametrize("name", list(DECIDED))
def test_equal_models_long(name: str, skill: float, seeds: int, questions: int, luck: float) -> None:
    plain, corrected = verdicts(DECIDED[name], skill, seeds, questions, luck, 300)
    print(
        f"holds {plain['holds'] / 300:.3f}, contradicted {plain['contradicted'] / 300:.3f}, after correction ", end=""
    )
    print(f"{corrected['holds'] / 300:.3f}, {corrected['contradicted'] / 300:.3f}")
    assert not too_many(plain["holds"], 300)
    assert not too_many(corrected["contradicted"], 300) and not too_many(corrected["holds"], 300)
