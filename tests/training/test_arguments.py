"""Arguments of TRL's trainers: sharing a batch, rows at once, nothing left to defaults for GPUs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from off_policy import ARCHITECTURE, hardware, sft, start_model
from transformers import TrainingArguments

from raml.errors import ConfigError
from raml.training import arguments
from raml.training.arguments import common_arguments, rows_at_once, rows_per_process
from raml.training.watch import WINDOW


def test_a_batch_is_shared_evenly_among_the_processes_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_per_process(6, hardware()) == 6
    two = hardware(processes=2, launcher="two")
    with pytest.raises(ConfigError, match=r"hardware\.processes = 2, but this job runs in 1; start it by `accelerate"):
        rows_per_process(6, two)
    monkeypatch.setattr(arguments, "processes", lambda: type("State", (), {"num_processes": 2}))
    assert rows_per_process(6, two) == 3
    with pytest.raises(ConfigError, match=r"^batch_size = 7 must be a multiple of hardware\.processes = 2$"):
        rows_per_process(7, two)
    with pytest.raises(ConfigError, match=r"hardware\.processes = 1, but this job runs in 2"):
        rows_per_process(6, hardware())


@pytest.mark.parametrize(
    ("fits", "gpu", "sequences", "expected"),
    [(48, True, 1, 48), (48, False, 1, 16), (48, False, 2, 8), (12, False, 1, 12), (1, False, 2, 1)],
)
def test_rows_at_once_divide_the_batch_and_fit(
    fits: int, gpu: bool, sequences: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def micro_batch(shape: Any, device: Any, **options: Any) -> int:
        assert shape == ARCHITECTURE
        asked.append(options)
        return fits

    monkeypatch.setattr(arguments, "micro_batch", micro_batch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    config = start_model().config
    assert rows_at_once(config, sft(), hardware(), rows=48, sequences=sequences, copies=2) == expected
    assert asked == [{"rows": 48, "tokens": sequences * (64 + 128), "lora": None, "copies": 2}]


def test_nothing_is_sent_to_anybody() -> None:
    assert constants.HF_HUB_DISABLE_TELEMETRY
    assert TrainingArguments(**_arguments()).report_to == []


@pytest.mark.parametrize(("between", "kept"), [(1, 7), (2, 4), (5, 3), (6, 2), (20, 2)])
def test_one_checkpoint_is_older_than_what_shows_a_divergence(between: int, kept: int) -> None:
    arguments = TrainingArguments(**_arguments(checkpoint_steps=between))
    assert (arguments.save_steps, arguments.save_total_limit) == (between, kept)
    assert (kept - 1) * between > WINDOW


def _arguments(**changes: Any) -> dict[str, Any]:
    return common_arguments(sft(), hardware(**changes), seed=1, folder=Path("work"), micro_batch=2, accumulation=2)
