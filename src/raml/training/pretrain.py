"""Pretrain the micro base model: drills first, then whole documents in the configured mixture of styles.

Muon on the matrices, AdamW on embeddings, norms and biases; constant learning rate with warm-up and
a linear decay over the last half. The model never sees a benchmark question.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from raml.config import Architecture, Oracle, Pretraining, Section
from raml.errors import RamlError
from raml.progress import progress
from raml.questions.family import stable_seed
from raml.schemas import Question
from raml.step import Step, run
from raml.storage import Provenance, atomic_folder, read_table
from raml.training.mixture import Document, Mixture
from raml.training.model import build_model
from raml.trajectories.pretrained import load_tokenizer

IGNORED = -100


class Job(Section):
    """The sections that pretraining depends on."""

    architecture: Architecture
    pretraining: Pretraining
    oracle: Oracle


@dataclass(frozen=True)
class Batch:
    """Right-padded `ids` and `labels`, both [documents, tokens]; labels are IGNORED where there is no loss."""

    ids: Tensor
    labels: Tensor


def main(step: Step[Job]) -> None:
    """Pretrain and save a Hugging Face folder."""
    job = step.config
    torch.set_num_threads(job.pretraining.threads)
    tokenizer = load_tokenizer(step.files["tokenizer"])
    benchmarks = read_table(step.files["benchmarks"], Question)
    mixture = Mixture(tokenizer, job.pretraining, job.oracle, held_out=frozenset(benchmarks["prompt"]))
    seed = stable_seed("pretrain", step.seed)
    model = build_model(
        job.architecture, len(tokenizer), seed % 2**32,
        bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id,
    )  # fmt: skip
    train(model, mixture, job.pretraining, random.Random(seed))
    save_model(model, tokenizer, step.files["out"], step.provenance())


def train(model: LlamaForCausalLM, mixture: Mixture, settings: Pretraining, rng: random.Random) -> None:
    """Both stages in place.

    Raises:
        RamlError: the loss is not finite.
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimisers = [
        torch.optim.Muon(matrices, lr=settings.muon_learning_rate, weight_decay=0.0),
        torch.optim.AdamW(others, lr=settings.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    total = settings.drill_steps + settings.steps
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _rate(step, total, settings)) for o in optimisers]
    drills = mixture.batches(rng, drill_share=1.0)
    documents = mixture.batches(rng, drill_share=settings.drill_share)
    pad = mixture.tokenizer.pad_token_id
    model.train()
    with progress("pretraining", total, "step") as line:
        for step in range(total):
            batch = collate(next(drills if step < settings.drill_steps else documents), pad)
            loss = masked_loss(model, batch)
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


def _rate(step: int, total: int, settings: Pretraining) -> float:
    """Share of the peak learning rate at `step`: linear warm-up, constant, linear decay over the last half."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    return warm * min(1.0, 2 * (total - step) / total)


if __name__ == "__main__":
    run(main, Job, inputs=["tokenizer", "benchmarks"], outputs=["out"])
