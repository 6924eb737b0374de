"""The plan's formulas against what training does: operations, memory, steps, sequences, tokens."""

import random
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from grpo_start import grpo
from off_policy import PROVENANCE, TOKENIZER, Place, hardware, sft, start_model, trajectories
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from trl.trainer import utils as trl_utils

from benchmarks.plan_check import FlopCounter, count_flops, peak_bytes, plan_benchmark
from raml.config import Lora, QuestionSet, Sampling, load_scale
from raml.questions.build import draw
from raml.schemas import Question, column_types
from raml.storage import write_table
from raml.training import memory as formulas
from raml.training.costs import Load, forward_flops, training_flops
from raml.training.grpo import trainer_arguments
from raml.training.memory import memory
from raml.training.sft import make_trainer, training_examples
from raml.training.split import split_batch
from raml.training.start import shape_of
from raml.trajectories.engine import Request
from raml.trajectories.sampler import TorchSampler

ROWS, TOKENS = 8, 128
ADAPTERS = Lora(rank=8, alpha=16, dropout=0.0)
SIZES: dict[str, Any] = {"vocab_size": 104, "hidden_size": 128, "max_position_embeddings": 256}


def llama() -> Any:
    """The micro model's shape."""
    return LlamaForCausalLM(
        LlamaConfig(
            **SIZES, intermediate_size=352, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
            attention_bias=True, tie_word_embeddings=True,
        )
    )  # fmt: skip


def qwen() -> Any:
    """Four queries share a key, as in Qwen2.5; a head of its own."""
    return Qwen2ForCausalLM(
        Qwen2Config(
            **SIZES, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
            tie_word_embeddings=False,
        )
    )  # fmt: skip


class Training:
    """A step as TRL makes it, on ROWS x TOKENS tokens."""

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        lora: Lora | None = None,
        checkpointing: bool = False,
        autocast: bool = False,
        padded: bool = False,
    ) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = make().train()
        trl_utils.add_fused_lm_head(model)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if lora:
            model = model.bfloat16() if autocast else model
            options: Any = {"task_type": "CAUSAL_LM", "target_modules": "all-linear"}
            model = get_peft_model(model, LoraConfig(**options, r=lora.rank, lora_alpha=int(lora.alpha)))
            model.enable_input_require_grads()
        self.model = model
        self.autocast = autocast
        self.optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6, fused=True)
        self.ids = torch.randint(0, 100, (ROWS, TOKENS))
        self.mask = torch.ones_like(self.ids)
        if padded:
            self.mask[1, TOKENS // 2 :] = 0

    def step(self) -> None:
        with torch.autocast("cpu", torch.bfloat16) if self.autocast else nullcontext():
            output = self.model(input_ids=self.ids, attention_mask=self.mask, labels=self.ids, fused_lm_head=True)
        output.loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

    def peak(self) -> int:
        self.step()
        return peak_bytes(self.step, self.model, self.optimiser)


@pytest.mark.parametrize("make", [llama, qwen])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("lora", "close"), [(None, 1e-6), (ADAPTERS, 0.05)])  # adapters: but for the first's inputs
def test_operations_of_training_are_those_that_pytorch_counts(
    make: Callable[[], Any], checkpointing: bool, lora: Lora | None, close: float
) -> None:
    counted = count_flops(Training(make, lora=lora, checkpointing=checkpointing).step)
    load = Load(ROWS, ROWS * TOKENS, ROWS * TOKENS**2, scored=ROWS * (TOKENS - 1))
    formula = training_flops(shape_of(make().config), load, lora=lora, checkpointing=checkpointing)
    assert formula == pytest.approx(counted, rel=close)


def test_operations_of_writing_are_those_of_a_forward_pass() -> None:
    model = start_model().eval()
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=24, batch_size=64, threads=1)
    sampler = TorchSampler(model, sampling, stop_ids=[], pad_id=0)
    requests = [Request(f"q{number}", (1, 5, 6, 7 + number), 0) for number in range(16)]
    with FlopCounter() as counter:
        written = sampler.sample(requests, 0)
    lengths = [(4, len(completion.token_ids)) for completion in written]
    formula = forward_flops(shape_of(model.config), Load.of(lengths))
    assert formula == pytest.approx(counter.causal, rel=0.05)  # the last token of a completion is never read


@pytest.mark.parametrize("make", [llama, qwen])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("lora", "autocast", "padded"),
    [(None, False, False), (None, False, True), (None, True, False), (ADAPTERS, False, False), (ADAPTERS, True, True)],
)
def test_peak_memory_is_that_of_the_formula(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    checkpointing: bool,
    lora: Lora | None,
    autocast: bool,
    padded: bool,
) -> None:
    # The head's tile, 134 MB of address space whatever the vocabulary, would hide all else.
    monkeypatch.setattr(trl_utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", SIZES["vocab_size"])
    monkeypatch.setattr(formulas, "HEAD_VOCABULARY", SIZES["vocab_size"])
    measured = Training(make, lora=lora, checkpointing=checkpointing, autocast=autocast, padded=padded).peak()
    device = hardware(precision="bf16" if autocast else "fp32", gradient_checkpointing=checkpointing)
    rows, tokens = (ROWS, TOKENS) if padded else (1, ROWS * TOKENS)  # without padding there is no mask
    formula = memory(shape_of(make().config), device, rows=rows, tokens=tokens, lora=lora).total
    # Checkpointed, the peak comes while most gradients are not there yet; once they accumulate they are.
    assert 0.93 * measured < formula < (1.3 if checkpointing or lora else 1.1) * measured


def test_steps_sequences_and_tokens_of_sft(tmp_path: Path) -> None:
    settings = sft(batch_size=4)
    examples = training_examples(trajectories(), settings, random.Random(0))
    trainer = make_trainer(start_model(), TOKENIZER, examples, settings, hardware(), 0, tmp_path)
    collate = trainer.data_collator
    seen: list[list[int]] = []

    def counting(rows: list[Any]) -> Any:
        batch = collate(rows)
        seen.append(batch["attention_mask"].sum(1).tolist())
        return batch

    trainer.data_collator = counting
    trainer.train()
    lengths = [length for batch in seen for length in batch]
    load = Load.of((0, len(example["input_ids"])) for example in examples)
    assert (load.rows, load.tokens) == (len(lengths), sum(lengths))
    assert load.squares == sum(length**2 for length in lengths)
    # As the plan says: exposures of all questions in whole batches.
    questions = trajectories()["question_id"].n_unique()
    assert settings.exposures_per_question is not None
    assert trainer.state.global_step == questions * settings.exposures_per_question // settings.batch_size
    assert load.rows == trainer.state.global_step * settings.batch_size


@pytest.mark.parametrize("kept", [1, 2, 4, 6, 16])
@pytest.mark.parametrize("gigabytes", [0.65, 0.8, 4.0])
def test_grpo_splits_its_batch_as_planned(kept: int, gigabytes: float, tmp_path: Path) -> None:
    model, device = start_model(), hardware(memory_gb=gigabytes)
    settings = grpo(batch_size=64, update_trajectories=kept, max_tokens=128)
    arguments = trainer_arguments(model, settings, device, 0, tmp_path)
    assert arguments.gradient_accumulation_steps == split_batch(shape_of(model.config), settings, device).passes
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 64


def test_the_benchmark_compares_formulas_and_measurements(tmp_path: Path) -> None:
    place = Place(tmp_path, "sft").prepare()
    scale = load_scale("minimal", folder=Path(__file__).parents[2] / "config" / "scales")
    questions = draw(QuestionSet(family="rows", levels=[1], n=2), split="train", kind="train", seed=0, used=set())
    table = pl.DataFrame(questions, schema=column_types(Question))
    write_table(table, Question, tmp_path / "questions.parquet", PROVENANCE)
    made = plan_benchmark(
        place.folder / "start", place.folder / "trajectories.parquet", tmp_path / "questions.parquet", scale
    )
    flops, peak = made["sft"]["flops_of_a_pass"], made["sft"]["peak_bytes_of_a_pass"]
    assert flops["formula"] == pytest.approx(flops["counted"], rel=0.05)
    assert peak["formula"] == pytest.approx(peak["measured"], rel=0.2)
    assert made["writing"]["completions"] == 2 * 16
    assert 0 < made["sft"]["utilisation"] < 10
