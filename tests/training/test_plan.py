from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.config import Architecture, Hardware, Lora, Scale, load_scale
from raml.errors import ConfigError
from raml.training.costs import Load, forward_flops, training_flops
from raml.training.memory import USABLE, memory, micro_batch, parameters, trained_parameters
from raml.training.plan import WRITING, Lengths, Plan, Planned, plan

SCALES = Path(__file__).parents[2] / "config" / "scales"
QWEN2_5_7B = Architecture(
    hidden_size=3584, layers=28, heads=28, kv_heads=4, intermediate_size=18944, vocabulary=152064, tied=False,
    context=131072,
)  # fmt: skip
GPUS = Hardware(
    processes=8, launcher="fsdp", sharded=True, memory_gb=80, precision="bf16",
    gradient_checkpointing=True, rollouts="vllm", threads=8, checkpoint_steps=20,
)  # fmt: skip
LORA = Lora(rank=16, alpha=32, dropout=0.0)


def minimal(**overrides: Any) -> Scale:
    return load_scale("minimal", overrides, SCALES)


def run_of(made: Plan, model: str) -> Planned:
    return next(run for run in made.runs if run.model == model)


def test_parameters_of_a_published_model() -> None:
    assert parameters(QWEN2_5_7B) == 7_615_616_512  # its safetensors hold as many


def test_adapters_on_every_map_of_a_published_model() -> None:
    # Widths by layer: queries and output 2 x 3584 each, keys and values 3584 + 512, feed-forward 3584 + 18944.
    assert trained_parameters(QWEN2_5_7B, LORA) == 28 * 16 * (2 * 7168 + 2 * 4096 + 3 * 22528)


def test_full_training_holds_sixteen_bytes_a_weight_shared_by_all_devices() -> None:
    held = memory(QWEN2_5_7B, GPUS, rows=1, tokens=1024)
    assert held.weights + held.gradients + held.optimiser == pytest.approx(16 * parameters(QWEN2_5_7B) / 8, rel=1e-6)
    whole = memory(QWEN2_5_7B, GPUS.model_copy(update={"sharded": False}), rows=1, tokens=1024)
    assert whole.optimiser == pytest.approx(8 * held.optimiser, rel=1e-6)


@settings(deadline=None)  # busy machines
@given(
    rows=st.integers(1, 256),
    tokens=st.integers(16, 32_768),
    gigabytes=st.floats(24, 640),
    lora=st.sampled_from([None, LORA]),
    checkpointing=st.booleans(),
)
def test_the_micro_batch_is_the_largest_divisor_that_fits(
    rows: int, tokens: int, gigabytes: float, lora: Lora | None, checkpointing: bool
) -> None:
    hardware = GPUS.model_copy(update={"memory_gb": gigabytes, "gradient_checkpointing": checkpointing})

    def fits(size: int) -> bool:
        return memory(QWEN2_5_7B, hardware, rows=size, tokens=tokens, lora=lora).total <= USABLE * gigabytes * 1e9

    divisors = [size for size in range(1, rows + 1) if rows % size == 0]
    try:
        chosen = micro_batch(QWEN2_5_7B, hardware, rows=rows, tokens=tokens, lora=lora)
    except ConfigError:
        assert not any(fits(size) for size in divisors)
    else:
        assert chosen == max(size for size in divisors if fits(size))


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    message = (
        r"one sequence of 19456 tokens needs 1\d\d\.\d GB .* hardware.memory_gb = 80 leaves 72\.0 GB; more processes"
    )
    alone = GPUS.model_copy(update={"processes": 1, "sharded": False})
    with pytest.raises(ConfigError, match=message) as raised:
        micro_batch(QWEN2_5_7B, alone, rows=4, tokens=19456, lora=None)
    assert "\n" not in str(raised.value)


def test_training_takes_six_operations_a_weight_and_token() -> None:
    short = Load.of([(0, 64)] * 8)  # attention is nothing beside the weights
    weights = parameters(QWEN2_5_7B) - QWEN2_5_7B.vocabulary * QWEN2_5_7B.hidden_size  # but not the embedding
    assert training_flops(QWEN2_5_7B, short) == pytest.approx(6 * weights * short.tokens, rel=0.03)
    assert forward_flops(QWEN2_5_7B, short) == pytest.approx(2 * weights * short.tokens, rel=0.01)
    repeated = training_flops(QWEN2_5_7B, short, checkpointing=True)
    assert repeated == pytest.approx(8 * weights * short.tokens, rel=0.1)


def test_steps_and_sequences_of_every_run() -> None:
    scale = minimal()
    made = plan(scale)
    assert [run.model for run in made.runs][:2] == ["trunk", "base"]
    questions = sum(part.n for part in scale.questions.train) if scale.questions else 0
    sft = scale.sft["long"]
    long = run_of(made, "sft_long")
    assert long.steps == questions * (sft.exposures_per_question or 0) // sft.batch_size
    assert long.sequences == long.steps * sft.batch_size
    assert long.trained_tokens == long.sequences * (sft.max_prompt_tokens + sft.max_tokens)
    dpo = run_of(made, "dpo")
    assert dpo.steps == questions * scale.dpo.pairs_per_question // scale.dpo.batch_size
    assert dpo.sequences == 2 * dpo.steps * scale.dpo.batch_size
    grpo = run_of(made, "zero_grpo")
    assert (grpo.steps, grpo.sequences) == (scale.grpo.steps, scale.grpo.steps * scale.grpo.batch_size)
    assert grpo.written_tokens == scale.grpo.steps * scale.grpo.batch_size * scale.grpo.max_tokens


def test_expected_lengths_lower_the_costs_and_leave_the_memory() -> None:
    longest, expected = plan(minimal()), plan(minimal(), Lengths(prompt=8, completion=10))
    assert expected.total_device_hours < longest.total_device_hours
    for one, other in zip(expected.runs, longest.runs, strict=True):
        assert (one.memory_gb, one.steps, one.sequences) == (other.memory_gb, other.steps, other.sequences)
    assert run_of(expected, "sft_long").trained_tokens == 18 * (run_of(longest, "sft_long").sequences or 0)
    assert plan(minimal(), Lengths(completion=10**9)).runs == longest.runs


def test_evaluation_writes_samples_of_all_models_and_of_the_sweeps_benchmarks() -> None:
    scale = minimal()
    assert scale.questions is not None
    made = {table.table: table for table in plan(scale).evaluation}
    asked = sum(benchmark.n for benchmark in scale.questions.benchmarks.values())
    assert made["main models"].completions == len(scale.models) * asked * scale.evaluation.n
    swept = sum(b.n for b in scale.questions.benchmarks.values() if b.kind in scale.sweeps.kinds)
    assert made["updates"].completions == made["updates"].models * swept * scale.sweeps.n


def test_figure_11_reads_what_is_kept_and_writes_answers() -> None:
    scale = minimal()
    settings, written = scale.efficiency, scale.sampling.max_tokens
    table = next(table for table in plan(scale).evaluation if table.table == "figure 11")
    trajectories = 3 * settings.n
    ways = len(settings.budgets) + 1 + 2 * settings.summaries
    assert table.completions == trajectories * ways
    assert table.written_tokens == trajectories * ((ways - 1) * settings.answer_tokens + written)
    kept = sum(settings.budgets) + 2 * settings.summaries * written
    assert table.read_tokens == trajectories * (ways * scale.grpo.max_prompt_tokens + kept)
    speed = scale.device.tflops * 1e12 * scale.device.utilisation
    priced = table.reading_flops + table.writing_flops / WRITING["torch"]
    assert table.device_hours == pytest.approx(priced / speed / 3600)


def test_hours_are_operations_by_speed_and_seeds_multiply_them() -> None:
    made, twice = plan(minimal()), plan(minimal(seeds=[0, 1]))
    run = run_of(made, "sft_long")
    speed = made.device.tflops * 1e12 * made.device.utilisation
    assert run.device_hours == pytest.approx(run.training_flops / speed / 3600)
    assert twice.total_device_hours == pytest.approx(2 * made.total_device_hours)
    assert made.total_device_hours == pytest.approx(made.training_device_hours + made.evaluation_device_hours)
