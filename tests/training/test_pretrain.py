"""Pretraining: the masked loss, determinism, learning, and divergence."""

import random
from pathlib import Path

import pytest
import torch
from test_mixture import TOKENIZER, mixture

from raml.config import Architecture
from raml.errors import RamlError
from raml.storage import Provenance
from raml.training.mixture import Document
from raml.training.model import build_model
from raml.training.pretrain import IGNORED, _rate, collate, masked_loss, save_model, train
from raml.trajectories.pretrained import load_pretrained

ARCHITECTURE = Architecture(hidden_size=64, layers=2, heads=2, intermediate_size=96, context=256)


def model(seed: int = 0):
    return build_model(ARCHITECTURE, len(TOKENIZER), seed, bos=1, eos=2, pad=0)


def test_collate_pads_right_and_masks() -> None:
    batch = collate([Document([5, 6, 7], [False, True, True]), Document([8, 9], [False, True])], pad=0)
    assert batch.ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch.labels.tolist() == [[IGNORED, 6, 7], [IGNORED, 9, IGNORED]]


def test_masked_loss_is_the_models_own_loss() -> None:
    built, rng = model(), random.Random(0)
    batch = collate([mixture().document(rng, drill=False) for _ in range(6)], pad=0)
    theirs = built(input_ids=batch.ids, labels=batch.labels).loss
    assert masked_loss(built, batch).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_training_lowers_the_loss_and_is_deterministic() -> None:
    states = []
    for _ in range(2):
        built, drawn = model(), mixture(drill_steps=10, steps=20)
        batch = collate([mixture().document(random.Random(9), drill=True) for _ in range(8)], pad=0)
        before = masked_loss(built, batch).item()
        train(built, drawn, drawn.pretraining, random.Random(3))
        assert masked_loss(built, batch).item() < 0.7 * before
        states.append(built.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_divergence_is_named() -> None:
    built, drawn = model(), mixture()
    with torch.no_grad():
        built.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RamlError, match="pretraining diverged at step 0: loss nan; lower the learning rates"):
        train(built, drawn, drawn.pretraining, random.Random(0))


def test_learning_rate_warms_up_holds_and_decays() -> None:
    settings = mixture(warmup_steps=4).pretraining
    rates = [_rate(step, 100, settings) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(rates[4:51]) == {1.0}
    assert rates[51:] == sorted(rates[51:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_a_saved_model_comes_back_with_its_tokenizer(tmp_path: Path) -> None:
    built = model()
    save_model(built, TOKENIZER, tmp_path / "model", Provenance(scale="test", config_hash="1", code_version="2"))
    loaded, tokenizer = load_pretrained(tmp_path / "model")
    text = "A +9 -2 ; rows ? <think> Hold on a 7 ok </think> \n\n**Final Answer**\n\\boxed{ 7 } <eos>"
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    assert tokenizer.decode(ids) == TOKENIZER.decode(ids) == text
    assert Provenance.model_validate_json((tmp_path / "model" / "raml.json").read_text()).scale == "test"
    assert torch.equal(loaded(torch.tensor([ids])).logits, built(torch.tensor([ids])).logits)
