"""Pretrain the trunk that all micro base models of a seed share: drills first, then whole documents.

No document is in the long style, which is seen in drills alone; `raml.training.anneal` makes base models of the
trunk, each with its own share of long documents. Muon on the matrices, AdamW on embeddings, norms and biases; the
learning rate is constant after its warm-up and falls to half over the last half. No model ever sees a benchmark
question.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from raml.config import Architecture, Oracle, Pretraining, Section
from raml.errors import ConfigError, RamlError
from raml.progress import progress
from raml.questions.family import stable_seed
from raml.questions.verify import family_of
from raml.schemas import Question
from raml.step import Step, run
from raml.storage import Provenance, atomic_folder, read_table
from raml.training.mixture import Document, Mixture
from raml.training.model import build_model
from raml.training.muon import Muon
from raml.trajectories.pretrained import load_tokenizer

IGNORED = -100


class Job(Section):
    """The sections that pretraining the trunk depends on."""

    architecture: Architecture
    pretraining: Pretraining
    oracle: Oracle


@dataclass(frozen=True)
class Batch:
    """Right-padded `ids` and `labels`, both [documents, tokens]; labels are IGNORED where there is no loss."""

    ids: Tensor
    labels: Tensor


def main(step: Step[Job]) -> None:
    """Pretrain and save a Hugging Face folder.

    Raises:
        ConfigError: `architecture.vocabulary` is not the tokenizer's size.
    """
    job = step.config
    pretraining = job.pretraining
    torch.set_num_threads(pretraining.threads)
    tokenizer = load_tokenizer(step.files["tokenizer"])
    if len(tokenizer) != job.architecture.vocabulary:
        raise ConfigError(
            f"architecture.vocabulary = {job.architecture.vocabulary}, but the tokenizer in "
            f"{step.files['tokenizer']} has {len(tokenizer)} tokens"
        )
    mixture = Mixture(tokenizer, pretraining, job.oracle, held_out(step.files["benchmarks"]), long_share=0.0)
    seed = stable_seed("pretrain", step.seed)
    model = build_model(
        job.architecture, seed % 2**32,
        bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id,
    )  # fmt: skip
    rng = random.Random(seed)
    drills = islice(mixture.batches(rng, drill_share=1.0), pretraining.drill_steps)
    documents = islice(mixture.batches(rng, drill_share=pretraining.drill_share), pretraining.steps)
    total = pretraining.drill_steps + pretraining.steps

    def rate(step: int) -> float:
        return min(1.0, 1.5 - step / total)

    train(model, chain(drills, documents), total, rate, pretraining, pad=tokenizer.pad_token_id)
    save_model(model, tokenizer, step.files["out"], step.provenance())


def held_out(benchmarks: Path) -> frozenset[str]:
    """What no pretraining document may ask, in whatever order."""
    questions = read_table(benchmarks, Question)
    return frozenset(family_of(family).asked(prompt) for family, prompt in questions.select("family", "prompt").rows())


def train(
    model: LlamaForCausalLM,
    batches: Iterable[list[Document]],
    total: int,
    rate: Callable[[int], float],
    settings: Pretraining,
    *,
    pad: int,
) -> None:
    """One step on each of `total` batches, in place, with fresh optimisers.

    Args:
        model: in training precision.
        batches: documents of each step.
        total: their number.
        rate: share of the peak learning rates at a step, before the warm-up of `settings.warmup_steps` is laid over it.
        settings: peak learning rates.
        pad: padding's token id.

    Raises:
        RamlError: the loss is not finite.
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimisers = [
        Muon(matrices, lr=settings.muon_learning_rate),
        torch.optim.AdamW(others, lr=settings.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]

    def warmed(step: int) -> float:
        return min(1.0, (step + 1) / (settings.warmup_steps + 1)) * rate(step)

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, warmed) for optimiser in optimisers]
    model.train()
    with progress("pretraining", total, "step") as line:
        for step, documents in enumerate(batches):
            loss = masked_loss(model, collate(documents, pad))
            if not torch.isfinite(loss):
                raise RamlError(f"pretraining diverged at step {step}: loss {loss.item()}; lower the learning rates")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
            line.update()
            if step % 50 == 0:
                line.set_postfix(loss=f"{loss.item():.3f}")


def masked_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean NLL of the labelled tokens, in nats; the head runs on those positions only."""
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
    targets = batch.labels[:, 1:]
    learned = targets != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learned]), targets[learned])


def collate(documents: list[Document], pad: int) -> Batch:
    """Right-pad; causal attention never looks at the padding."""
    width = max(len(document.ids) for document in documents)
    ids = torch.full((len(documents), width), pad)
    labels = torch.full((len(documents), width), IGNORED)
    for row, document in enumerate(documents):
        tokens = torch.tensor(document.ids)
        ids[row, : len(tokens)] = tokens
        labels[row, : len(tokens)] = torch.where(torch.tensor(document.learn), tokens, IGNORED)
    return Batch(ids, labels)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path, provenance: Provenance) -> None:
    """Save weights (safetensors), tokenizer and provenance (`raml.json`), all at once."""
    with atomic_folder(path) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "raml.json").write_text(provenance.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    run(main, Job, inputs=["tokenizer", "benchmarks"], outputs=["out"])
