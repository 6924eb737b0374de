"""DPO: the loss, token ids as they are, learning, references, and input that cannot be used."""

import math
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from off_policy import LORA, TOKENIZER, Place, dpo, hardware, start_model, trajectories
from transformers import LlamaForCausalLM

from raml.training import dpo as module
from raml.training.dpo import make_trainer, training_pairs
from raml.training.loop import fit
from raml.training.pairs import Pair
from raml.training.work import Work
from raml.trajectories.pretrained import load_pretrained


def pairs(**changes: Any) -> list[Pair]:
    tables = ("long", trajectories()), ("wrong", trajectories("wrong"))
    return training_pairs(*tables, dpo(**changes), random.Random(0))


def trained(folder: Path, settings: Any, *, reference: LlamaForCausalLM | None) -> tuple[Any, Any]:
    work = Work.open(folder, {})
    trainer = make_trainer(start_model(), TOKENIZER, pairs(), settings, hardware(), 0, work.folder, reference=reference)
    return trainer, fit(trainer, work, description="DPO test", advice="dpo.learning_rate")


@torch.no_grad()
def log_probability(model: Any, pair: Pair, name: str) -> float:
    prompt, completion = pair["prompt_ids"], pair[name]
    ids = torch.tensor([[*prompt, *completion]])
    steps = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return steps.gather(1, torch.tensor(completion)[:, None]).sum().item()


def test_the_loss_is_the_papers(tmp_path: Path) -> None:
    model, reference, settings = start_model(), start_model(1), dpo(beta=0.02)
    trainer = make_trainer(model, TOKENIZER, pairs(), settings, hardware(), 0, tmp_path, reference=reference)
    batch = next(iter(trainer.get_train_dataloader()))
    expected = 0.0
    for pair in pairs()[:4]:
        ratio = {name: log_probability(model, pair, name) - log_probability(reference, pair, name)
                 for name in ("chosen_ids", "rejected_ids")}  # fmt: skip
        expected -= math.log(1 / (1 + math.exp(-0.02 * (ratio["chosen_ids"] - ratio["rejected_ids"])))) / 4
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-4)
    assert abs(expected - math.log(2)) > 0.01


def test_micro_batches_change_nothing_but_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = {}
    for micro in (4, 1):
        monkeypatch.setattr(module, "rows_at_once", lambda *_, micro=micro, **__: micro)
        trainer, logs[micro] = trained(tmp_path / str(micro), dpo(), reference=start_model())
        assert trainer.args.gradient_accumulation_steps == 4 // micro
    for one, four in zip(logs[4], logs[1], strict=True):
        assert one["loss"] == pytest.approx(four["loss"], rel=1e-4)
        assert one["rewards_margins"] == pytest.approx(four["rewards_margins"], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_the_step_learns_to_tell_right_from_wrong(tmp_path: Path, lora: Any) -> None:
    place = Place(tmp_path, "dpo").prepare()
    settings = dpo(lora=lora, learning_rate=3e-3)
    place.train([settings])
    out = place.outs([settings])[0]
    records = pl.read_ndjson(out / "training.jsonl")
    assert records["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert records["loss"][0] == pytest.approx(math.log(2))  # the model is its own reference
    assert records["rewards_margins"][0] == 0.0
    assert records["rewards_margins"][-1] > 0.1
    names = {"rewards_chosen", "rewards_rejected", "rewards_accuracies", "logps_chosen", "logps_rejected", "entropy"}
    assert names <= set(records.columns)
    assert not {"epoch", "num_tokens"} & set(records.columns)
    model, _ = load_pretrained(out)
    start, margin = start_model(), 0.0
    for pair in pairs():
        for name, sign in (("chosen_ids", 1), ("rejected_ids", -1)):
            margin += sign * (log_probability(model, pair, name) - log_probability(start, pair, name))
    assert margin > 0
