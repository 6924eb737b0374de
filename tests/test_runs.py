"""Every model of a scale: names, starts, which process trains and samples it, and what the sweeps vary."""

from pathlib import Path

import pytest

from raml.config import GRPO, SFT, Annealing, Scale, load_scale
from raml.runs import TRUNK, Run, batches, regimes, sampled_together, series

SCALES = Path(__file__).parents[1] / "config" / "scales"


def scale(**overrides: object) -> Scale:
    return load_scale("minimal", overrides, SCALES)


def runs(of: Scale) -> dict[str, Run]:
    return {run.model: run for batch in batches(of) for run in batch.runs}


@pytest.mark.parametrize("name", ["minimal", "micro"])
def test_every_model_starts_from_one_that_is_made(name: str) -> None:
    of = load_scale(name, folder=SCALES)
    found = runs(of)
    assert {run.start for run in found.values()} <= {TRUNK, *found}
    assert set(of.models) <= set(found)
    assert len(found) == sum(len(batch.runs) for batch in batches(of))
    trained = [run for run in found.values() if not isinstance(run.settings, Annealing)]
    assert all(run.settings.start == run.start for run in trained)


def test_a_sweep_changes_one_thing() -> None:
    of = scale(sweeps={"trajectories_per_question": [1, 2], "update_trajectories": [1, 2, 4], "long_shares": [0.03]})
    found = runs(of)
    fewer, main = found["sft_long_m1"].settings, found["sft_long"].settings
    assert isinstance(fewer, SFT) and fewer == main.model_copy(update={"trajectories_per_question": 1})
    part, whole = found["grpo_n2"].settings, found["zero_grpo"].settings
    assert isinstance(part, GRPO) and part == whole.model_copy(update={"update_trajectories": 2})
    assert found["base_p3"].settings == Annealing(long_share=0.03, steps=of.pretraining.annealing.steps)
    cold, zero = found["sft_grpo_p3"], found["zero_grpo_p3"]
    assert (cold.start, zero.start) == ("sft_long_p3", "base_p3")
    assert cold.settings == zero.settings.model_copy(update={"start": "sft_long_p3"})


def test_grpo_with_rollouts_by_vllm_has_a_process_for_each_run() -> None:
    together, apart = (
        batches(scale(hardware={"rollouts": rollouts}, sweeps={"update_trajectories": [1, 2, 4]}))
        for rollouts in ("torch", "vllm")
    )
    assert [run for batch in together for run in batch.runs] == [run for batch in apart for run in batch.runs]
    assert all(
        len(batch.runs) == 1 and batch.name == batch.runs[0].model for batch in apart if batch.technique == "grpo"
    )
    assert [batch for batch in apart if batch.technique != "grpo"] == [
        batch for batch in together if batch.technique != "grpo"
    ]
    assert len(apart) > len(together)


def test_the_value_of_the_main_model_is_not_trained_twice() -> None:
    of = scale(sweeps={"trajectories_per_question": [2], "update_trajectories": [4], "long_shares": [0.5]})
    assert set(runs(of)) == set(of.models)
    assert sampled_together(of) == {"updates": ["zero_grpo_step1", "sft_grpo_step1"]}


def test_doses_ascend_and_name_trained_models() -> None:
    of = scale(sweeps={"trajectories_per_question": [1], "update_trajectories": [1, 2]})
    found = series(of)
    assert found["fig8_short"].doses == [1, 2] and found["fig8_short"].models == ["sft_short_m1", "sft_short"]
    assert found["fig9_last"].models == ["grpo_n1", "grpo_n2", "zero_grpo"]
    assert found["fig9_first"] == found["fig9_step1"] and "fig9_first" not in series(scale(grpo={"evaluate_at": []}))
    made = {name for run in runs(of).values() for name in (run.model, *run.snapshots)}
    assert {model for one in found.values() for model in one.models} <= made


def test_every_model_is_sampled_exactly_once() -> None:
    of = scale()
    made = [name for run in runs(of).values() for name in (run.model, *run.snapshots)]
    sampled = [*of.models, *(model for models in sampled_together(of).values() for model in models)]
    assert sorted(made) == sorted(sampled)


def test_regimes_are_ordered_by_the_share_and_include_the_main_base() -> None:
    found = regimes(scale(sweeps={"long_shares": [0.0, 0.005, 0.7]}))
    assert [one.long_share for one in found] == [0.0, 0.005, 0.5, 0.7]
    assert [one.base for one in found] == ["base_p0", "base_p0_5", "base", "base_p70"]
    assert found[2].sft_grpo == "sft_grpo"


def test_a_published_base_is_a_regime_of_unknown_share() -> None:
    (only,) = regimes(load_scale("paper", folder=SCALES))
    assert only.long_share is None
    assert (only.base, only.zero_grpo, only.sft_grpo) == ("base", "zero_grpo", "sft_grpo")
