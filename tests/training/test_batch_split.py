"""How a process takes its share of a batch: the plan and GRPO's trainer ask the same function."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from off_policy import ARCHITECTURE as SHAPE

from raml.config import GRPO, Hardware, load_scale
from raml.errors import ConfigError
from raml.training import split
from raml.training.memory import USABLE, memory
from raml.training.plan import plan
from raml.training.split import split_batch

SCALES = Path(__file__).parents[2] / "config" / "scales"
PAPER = load_scale("paper", folder=SCALES)


def hardware(**changes: Any) -> Hardware:
    return load_scale("minimal", folder=SCALES).hardware.model_copy(update=changes)


def grpo(**changes: Any) -> GRPO:
    return PAPER.grpo.model_copy(update={"max_prompt_tokens": 64, "max_tokens": 128, **changes})


def test_processes_that_would_not_get_whole_groups_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="gives each of 128 processes 8 completions; they must be whole groups") as no:
        plan(load_scale("paper", {"hardware": {"processes": 128}}, SCALES))
    assert "\n" not in str(no.value)
    with pytest.raises(ConfigError, match="whole groups of grpo"):
        plan(load_scale("paper", {"hardware": {"processes": 128}, "sweeps": {"update_trajectories": [16]}}, SCALES))


@settings(deadline=None)  # busy machines
@given(
    groups=st.integers(1, 12),
    processes=st.sampled_from([1, 2, 3, 4, 8]),
    group=st.sampled_from([2, 4, 6, 16]),
    kept_of_group=st.integers(1, 16),
    gigabytes=st.floats(0.002, 0.2),
)
def test_parts_are_whole_equal_and_as_few_as_fit(
    groups: int, processes: int, group: int, kept_of_group: int, gigabytes: float
) -> None:
    device = hardware(processes=processes, memory_gb=gigabytes)
    chosen = grpo(batch_size=groups * group, group_size=group, update_trajectories=min(kept_of_group, group))

    def fits(rows: int) -> bool:
        return memory(SHAPE, device, rows=rows, tokens=64 + 128).total <= USABLE * gigabytes * 1e9

    try:
        found = split_batch(SHAPE, chosen, device)
    except ConfigError:
        if groups % processes == 0:
            rows = groups // processes * group
            kept = groups // processes * chosen.update_trajectories
            assert not any(rows % parts == kept % parts == 0 and fits(kept // parts) for parts in range(1, rows + 1))
        return
    assert groups % processes == 0
    rows, kept = groups // processes * group, groups // processes * chosen.update_trajectories
    assert rows % found.passes == 0 and found.at_once * found.passes == kept
    assert found.peak == memory(SHAPE, device, rows=found.at_once, tokens=64 + 128)
    assert fits(found.at_once)
    fewer = [parts for parts in range(1, found.passes) if rows % parts == kept % parts == 0]
    assert not any(fits(kept // parts) for parts in fewer)


@pytest.mark.parametrize(("n", "fitting", "parts"), [(16, 8, 4), (4, 2, 4), (1, 1, 2), (3, 3, 2), (12, 6, 4)])
def test_rows_written_and_kept_split_evenly(n: int, fitting: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "micro_batch", lambda *_, rows, **__: fitting)
    assert split_batch(SHAPE, grpo(batch_size=32, update_trajectories=n), hardware()).passes == parts


def test_parts_that_cannot_be_small_enough_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "micro_batch", lambda *_, rows, **__: 1)
    with pytest.raises(ConfigError, match="let update_trajectories divide group_size"):
        split_batch(SHAPE, grpo(batch_size=32, update_trajectories=3), hardware())


def test_pairs_are_twice_as_long_and_have_a_reference() -> None:
    dpo = load_scale("minimal", folder=SCALES).dpo
    found = split_batch(SHAPE, dpo, hardware())
    tokens = 2 * (dpo.max_prompt_tokens + dpo.max_tokens)
    assert found.peak == memory(SHAPE, hardware(), rows=found.at_once, tokens=tokens, copies=2)
