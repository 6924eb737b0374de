"""Pretraining: the masked loss, determinism, learning, divergence, and base models annealed from one trunk."""

import random
from itertools import islice
from pathlib import Path

import pytest
import torch
from off_policy import ARCHITECTURE, PROVENANCE
from test_mixture import TOKENIZER, mixture

from raml.config import Annealing
from raml.errors import ConfigError, RamlError
from raml.schemas import Question
from raml.step import Step
from raml.storage import Provenance, file_hash, write_table
from raml.training import anneal, pretrain
from raml.training.model import build_model
from raml.training.pretrain import collate, masked_loss, save_model, train
from raml.trajectories.pretrained import load_pretrained


def model(seed: int = 0):
    return build_model(ARCHITECTURE, seed, bos=1, eos=2, pad=0)


def test_masked_loss_is_the_models_own_loss() -> None:
    built, rng = model(), random.Random(0)
    batch = collate([mixture().document(rng, drill=False) for _ in range(6)], pad=0)
    theirs = built(input_ids=batch.ids, labels=batch.labels).loss
    assert masked_loss(built, batch).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_training_lowers_the_loss_and_is_deterministic() -> None:
    states = []
    for _ in range(2):
        built, drawn = model(), mixture()
        batch = collate([mixture().document(random.Random(9), drill=True) for _ in range(8)], pad=0)
        before = masked_loss(built, batch).item()
        documents = islice(drawn.batches(random.Random(3), drill_share=0.5), 30)
        train(built, documents, 30, lambda step: 1.0, drawn.pretraining, pad=0)
        assert masked_loss(built, batch).item() < 0.7 * before
        states.append(built.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_divergence_is_named() -> None:
    built, drawn = model(), mixture()
    with torch.no_grad():
        built.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RamlError, match="pretraining diverged at step 0: loss nan; lower the learning rates"):
        train(built, drawn.batches(random.Random(0), 0.0), 1, lambda step: 1.0, drawn.pretraining, pad=0)


def test_the_warm_up_is_laid_over_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, rates = mixture(warmup_steps=4), []
    plain = torch.optim.AdamW.step

    def recorded(self: torch.optim.AdamW, closure: None = None) -> None:
        rates.append(self.param_groups[0]["lr"] / drawn.pretraining.adamw_learning_rate)
        plain(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    batches = islice(drawn.batches(random.Random(0), 0.0), 8)
    train(model(), batches, 8, lambda step: 1 - step / 10, drawn.pretraining, pad=0)
    assert rates == pytest.approx([0.2, 0.4 * 0.9, 0.6 * 0.8, 0.8 * 0.7, 0.6, 0.5, 0.4, 0.3])


def job_files(folder: Path) -> dict[str, Path]:
    TOKENIZER.save_pretrained(folder / "tokenizer")
    write_table(Question.create_empty(), Question, folder / "benchmarks.parquet", PROVENANCE)
    return {"tokenizer": folder / "tokenizer", "benchmarks": folder / "benchmarks.parquet", "out": folder / "trunk"}


def test_base_models_of_one_trunk_differ_by_their_share_alone(tmp_path: Path) -> None:
    files, drawn = job_files(tmp_path), mixture(drill_steps=2, steps=2)
    settings = {"pretraining": drawn.pretraining, "oracle": drawn.oracle}
    pretrain.main(
        Step("raml.training.pretrain", "test", pretrain.Job(architecture=ARCHITECTURE, **settings), 0, files, {})
    )
    runs = [Annealing(long_share=share, steps=3) for share in (0.0, 0.0, 0.5)]
    outs = [tmp_path / name for name in ("first", "again", "other")]
    lists = {"starts": [files["out"]] * 3, "outs": outs}
    anneal.main(Step("raml.training.anneal", "test", anneal.Job(runs=runs, **settings), 0, files, {}, lists))
    hashes = [file_hash(out / "model.safetensors") for out in (files["out"], *outs)]
    assert hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    drawn = mixture()
    shape = ARCHITECTURE.model_copy(update={"vocabulary": 90})
    job = pretrain.Job(architecture=shape, pretraining=drawn.pretraining, oracle=drawn.oracle)
    with pytest.raises(ConfigError, match=r"architecture\.vocabulary = 90, but the tokenizer in .* has \d+ tokens"):
        pretrain.main(Step("raml.training.pretrain", "test", job, 0, job_files(tmp_path), {}))


def test_a_saved_model_comes_back_with_its_tokenizer(tmp_path: Path) -> None:
    built = model()
    save_model(built, TOKENIZER, tmp_path / "model", PROVENANCE)
    loaded, tokenizer = load_pretrained(tmp_path / "model")
    text = "A +9 -2 ; rows ? <think> Hold on a 7 ok </think> \n\n**Final Answer**\n\\boxed{ 7 } <eos>"
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    assert tokenizer.decode(ids) == TOKENIZER.decode(ids) == text
    assert Provenance.model_validate_json((tmp_path / "model" / "raml.json").read_text()).scale == "test"
    assert torch.equal(loaded(torch.tensor([ids])).logits, built(torch.tensor([ids])).logits)
