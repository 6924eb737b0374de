"""`config/claims.yaml`: what it holds, and the one line that each mistake in it ends with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import claim

from raml.claims.decide import PROBED, claimed, names_of
from raml.claims.registry import EffectEntry, Registry, load_registry, specs_of, tolerance_of
from raml.config import available_scales, load_scale
from raml.errors import ConfigError

ROOT = Path(__file__).parents[2]
CLAIMS, REPORTED, SCALES = ROOT / "config/claims.yaml", ROOT / "config/reported.yaml", ROOT / "config/scales"
REGISTRY = load_registry(CLAIMS, REPORTED)
BY_ID = {one.id: one for one in REGISTRY.claims}
EXHIBITS = {f"fig{number}" for number in range(2, 17) if number != 10} | {"prop2.1", "tab1", "tab2", "tab3", "sec4.3"}
PASS = {"quantity": "Pass@8", "model": "sft_long"}
Entry = dict[str, Any]


def test_every_exhibit_has_a_claim_and_fixed_numbers() -> None:
    assert {one.exhibit for one in REGISTRY.claims} == EXHIBITS <= set(BY_ID)
    assert {name for name, one in BY_ID.items() if not one.entries} == {"fig4", "sec4.3"}
    for one in REGISTRY.claims:
        assert all(one.threshold_of(entry) for entry in one.entries) and one.min_questions >= 20
        assert set(re.findall(r"\{.*?\}", " ".join([one.command, *one.artifacts]))) <= {"{scale}"}
    assert {scale for one in REGISTRY.claims for scale in one.decidable_at} == {"micro", "small", "paper"}
    assert BY_ID["fig3"].threshold == BY_ID["fig16"].threshold == -0.3
    assert (BY_ID["fig3"].side, BY_ID["fig16"].side) == ("below", "above")


@pytest.mark.parametrize("scale", available_scales(SCALES))
def test_the_claims_have_effects_at_every_scale(scale: str) -> None:
    settings = load_scale(scale, folder=SCALES)
    models = {spec.model.partition("/")[0] for spec in claimed(REGISTRY, names_of(settings)) if "rho" in spec.quantity}
    assert models == {*settings.probing.models, *PROBED[len(settings.probing.models) :]}
    asked = {"fig2": settings.landscape.questions, "prop2.1": settings.updates.questions}
    for name, questions in asked.items():
        if scale in ("micro", "small", "paper"):
            assert (questions >= BY_ID[name].min_questions) == (scale in BY_ID[name].decidable_at)


def test_reported_numbers_are_the_papers_and_each_has_a_tolerance() -> None:
    numbers = {name: REGISTRY.numbers_of(one) for name, one in BY_ID.items()}
    assert {name: len(found) for name, found in numbers.items() if found} == {
        "fig6": 6, "fig11": 18, "fig11-tokens": 18, "tab2": 12, "tab2-grpo": 18, "tab3": 12,
    }  # fmt: skip
    assert numbers["tab2"]["table2.sft_long.AIME24.P8"] == 36.69
    assert numbers["tab3"]["table3.sft_then_grpo.LiveMathBench-Hard.mG8"] == 18.84
    assert numbers["fig6"]["figure6.Hold on"] == 279.5 and REGISTRY.reported_of(BY_ID["fig3"]) is None
    assert numbers["fig11"]["figure11.AIME24.Avg16.summarised"] == 39.79
    assert tolerance_of(BY_ID["tab2"], "table2.sft_long.MATH500-L5.mG8") == 5.0
    assert tolerance_of(BY_ID["tab2"], "figure6.Wait") is None
    used = {key.split(".")[0] for one in REGISTRY.claims for key in one.reported}
    assert set(REGISTRY.reported) - used == {"settings", "reference_timings"}  # what no claim is about
    ours = [numbers["tab2"][f"table2.sft_{of}.LiveMathBench-Hard.P8"] for of in ("long", "short")]
    assert 100 * (BY_ID["tab2"].threshold or 0) < ours[0] - ours[1] < 0  # the paper's own deficit counts as level


def test_entries_multiply_quantities_models_and_regimes() -> None:
    names = {"k": 8, "probed0": "sft_long"}
    both = EffectEntry(quantity=["Pass@{k}", "mG-Pass@{k}"], model=["{probed0}", "a"], baseline="base")
    found = [(one.model, one.quantity, one.baseline) for one in specs_of(both, names, [])]
    assert found == [(model, name, "base") for model in ("sft_long", "a") for name in ("Pass@8", "mG-Pass@8")]
    cold = EffectEntry(quantity="Pass@8", model="sft_grpo", baseline="zero_grpo", each="regimes")
    families = [{"sft_grpo": "s", "zero_grpo": "z"}, {"sft_grpo": "s_p0", "zero_grpo": "z_p0"}]
    assert [(one.model, one.baseline) for one in specs_of(cold, names, families)] == [("s", "z"), ("s_p0", "z_p0")]
    assert specs_of(cold, names, []) == []
    for entry, said in (
        (EffectEntry(quantity="Pass@{m}", model="a"), "unknown name 'm'; allowed are k, probed0"),
        (cold.model_copy(update={"model": "dpo"}), "unknown name 'dpo'; allowed are sft_grpo, zero_grpo, k, probed0"),
        (cold.model_copy(update={"baseline": None}), "an effect of each regime needs a baseline"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            specs_of(entry, names, families)
    one = claim(all=[{"quantity": "Pass@{m}", "model": "a"}])
    with pytest.raises(
        ConfigError, match=r"claims\.yaml: claim 'fig3': unknown name 'm'; allowed are k, n, answers, pro"
    ):
        claimed(Registry([one], {}, CLAIMS), names_of(load_scale("micro", folder=SCALES)))


def fig3(**changes: Any) -> Callable[[list[Entry]], None]:
    def edit(claims: list[Entry]) -> None:
        next(one for one in claims if one["id"] == "fig3").update(changes)

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (fig3(statment="x"), "claim 'fig3': unknown key statment; allowed here: all, any, artifacts, by_construction"),
        (fig3(all=[PASS | {"modell": "x"}]), "unknown key all.0.modell; allowed here: baseline, each, interval, model"),
        (fig3(all=[PASS | {"quantity": "Pas@8"}]), "quantity 'Pas@8' is one that nobody makes; allowed are Pass, "),
        (fig3(all=[{"quantity": "Pass@8"}]), "missing key all.0.model"),
        (fig3(all=[PASS], threshold=1.5), "threshold = 1.5 lies outside what Pass@8 can be: 0 to 1"),
        (fig3(threshold=-1.5), "threshold = -1.5 lies outside what rho/correct can be: -1 to 1"),
        (fig3(all=[PASS | {"baseline": "base", "threshold": -2}]), "threshold = -2 lies outside what Pass@8 can be"),
        (fig3(threshold=float("nan")), "threshold"),
        (fig3(threshold=None), "every effect needs a `side` and a `threshold`, its own or the claim's"),
        (fig3(side=None), "every effect needs a `side` and a `threshold`"),
        (fig3(side="under"), "side = 'under'"),
        (fig3(all=[PASS | {"interval": "normal"}]), "all.0.interval = 'normal'"),
        (fig3(all=[PASS | {"share": 0}]), "all.0.share = 0"),
        (fig3(all=None), "a claim needs one of `all`, `any` (its effects) and `not_run` (the reason)"),
        (fig3(all=[]), "all = []"),
        (fig3(any=[PASS]), "a claim needs one of `all`, `any`"),
        (fig3(not_run="later"), "a claim needs one of `all`, `any`"),
        (fig3(why=None), "a claim with effects needs `why`, the reason for its threshold"),
        (fig3(min_questions=1), "min_questions = 1"),
        (fig3(exhibit="Fig. 3"), "exhibit = 'Fig. 3'"),
        (fig3(exhibit="fig2"), "id must be 'fig2' or begin with 'fig2-'"),
        (fig3(statement=""), "statement = ''"),
        (fig3(needs=""), "needs = ''"),
        (fig3(decidable_at=[]), "decidable_at must name a scale for a claim that is tested"),
        (fig3(decidable_at=["mikro"]), "decidable_at.0 = 'mikro'"),
        (fig3(reported=["table9"]), "reported names 'table9', which "),
        (fig3(reported=["figure6"]), "figure6.avg is reported and has no tolerance; name a part of it in tolerance.of"),
        (fig3(tolerance={"of": {"AIME24": 1.0}, "why": "-"}), "tolerance.of names 'AIME24', a part of no reported"),
        (fig3(tolerance={"of": {"AIME24": -1.0}, "why": "-"}), "tolerance.of.AIME24 = -1.0"),
        (lambda claims: claims.append(claims[3]), "id 'fig2' is used twice; ids must be unique"),
        (lambda claims: claims[0].pop("id"), "claim 'number 1': missing key id"),
        (lambda claims: claims.insert(0, "fig99"), "claim number 1"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_one_line(edit: Callable[[list[Any]], Any], said: str, tmp_path: Path) -> None:
    raw, path = yaml.safe_load(CLAIMS.read_text()), tmp_path / "claims.yaml"
    edit(raw["claims"])
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as error:
        load_registry(path, REPORTED)
    assert error.value.exit_code == 2 and "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)


@pytest.mark.parametrize("text", ["claims: [", "- 1", "claim: []", "claims: {}", "", "claims: []\ndefaults: 1"])
def test_malformed_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"claims\.yaml"):
        load_registry(path, REPORTED)
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        load_registry(tmp_path / "none.yaml", REPORTED)


def test_values_may_be_changed_by_claim() -> None:
    changed = load_registry(CLAIMS, REPORTED, {"fig3": {"threshold": -0.6}, "prop2.1": {"min_questions": 40}})
    found = {one.id: one for one in changed.claims}
    assert found["fig3"].threshold == -0.6 and found["prop2.1"].min_questions == 40
    assert {name: one for name, one in found.items() if one != BY_ID[name]}.keys() == {"fig3", "prop2.1"}
    with pytest.raises(ConfigError, match=r"has no claim 'fig99'; it has prop2\.1, "):
        load_registry(CLAIMS, REPORTED, {"fig99": {"threshold": 0}})
