"""How a process takes its share of a batch: the plan and GRPO's trainer ask the same function."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from off_policy import ARCHITECTURE as SHAPE

from raml.config import GRPO, Hardware, load_scale
from raml.errors import ConfigError
from raml.training.memory import USABLE, memory
from raml.training.split import split_batch

SCALES = Path(__file__).parents[2] / "config" / "scales"
PAPER = load_scale("paper", folder=SCALES)


def hardware(**changes: Any) -> Hardware:
    return load_scale("minimal", folder=SCALES).hardware.model_copy(update=changes)


def grpo(**changes: Any) -> GRPO:
    return PAPER.grpo.model_copy(update={"max_prompt_tokens": 64, "max_tokens": 128, **changes})


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


def test_pairs_are_twice_as_long_and_have_a_reference() -> None:
    dpo = load_scale("minimal", folder=SCALES).dpo
    found = split_batch(SHAPE, dpo, hardware())
    tokens = 2 * (dpo.max_prompt_tokens + dpo.max_tokens)
    assert found.peak == memory(SHAPE, hardware(), rows=found.at_once, tokens=tokens, copies=2)
