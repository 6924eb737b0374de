"""Killed with SIGKILL at any moment, training ends with the same bytes as if nothing had happened."""

import signal
from pathlib import Path
from typing import Any

import pytest
from off_policy import LORA, Death, Place, dpo, ended, sft, start_process

KILLED = -signal.SIGKILL

# In the order in which one job meets them.
DEATHS: list[Death] = [
    ("raml.training.watch.Watch.on_step_end", 1, "before"),  # before there is any checkpoint
    ("transformers.Trainer._save_optimizer_and_scheduler", 1, "before"),  # a checkpoint of weights alone
    ("transformers.Trainer._save_rng_state", 1, "before"),
    ("raml.training.work.Work.mark", 1, "before"),  # a whole checkpoint that nobody has checked
    ("raml.training.watch.Watch.on_step_end", 4, "before"),  # resumes at 0 and dies between two checkpoints
    ("raml.training.work.Work.mark", 1, "after"),  # at 4
    ("transformers.trainer.rotate_checkpoints", 1, "before"),  # three checkpoints lie there
    ("raml.training.sft.save_trained", 1, "before"),  # trained, not saved
]
BETWEEN: list[Death] = [
    ("raml.training.work.Work.open", 2, "before"),  # the first model is done
    ("raml.training.watch.Watch.on_step_end", 3, "before"),  # in the second
    ("raml.training.loop.publish", 2, "before"),  # one output is there, one is not
    ("raml.training.work.Work.set_aside", 2, "before"),  # one work folder is gone, one is not
    ("raml.training.work.Work.delete", 1, "before"),  # both are gone, their waste is not
]
RUNS: dict[str, list[Any]] = {
    "sft": [sft(), sft(trajectories_per_question=1)],
    "dpo": [dpo(), dpo(pairs_per_question=6, lora=LORA)],
}


@pytest.mark.parametrize("technique", ["sft", "dpo"])
def test_killed_anywhere_a_job_ends_with_the_same_bytes(technique: Any, tmp_path: Path) -> None:
    runs = RUNS[technique]
    undisturbed = Place(tmp_path / "undisturbed", technique).prepare()
    assert ended(start_process(undisturbed, runs)) == 0
    place = Place(tmp_path / "killed", technique).prepare()
    for death in [*DEATHS, *BETWEEN] if technique == "sft" else [DEATHS[2], DEATHS[4], *BETWEEN[1:4]]:
        published = death in BETWEEN[2:]
        assert ended(start_process(place, runs, death)) == KILLED, death
        assert published or not (place.folder / "models").exists(), death
    assert ended(start_process(place, runs)) == 0
    assert place.hashes(runs) == undisturbed.hashes(runs)
    assert list(place.work.iterdir()) == []


def test_a_run_does_not_depend_on_the_others_of_its_batch(tmp_path: Path) -> None:
    together = Place(tmp_path / "together", "sft").prepare()
    together.train(RUNS["sft"])
    for index, run in enumerate(RUNS["sft"]):
        alone = Place(tmp_path / f"alone{index}", "sft").prepare()
        alone.train([run])
        assert alone.hashes([run])[0] == together.hashes(RUNS["sft"])[index]
