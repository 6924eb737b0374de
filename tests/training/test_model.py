"""The micro model starts out able to copy, and the same seed gives the same weights."""

import torch

from raml.config import Architecture
from raml.training.model import build_model

ARCHITECTURE = Architecture(
    hidden_size=128, layers=3, heads=4, kv_heads=4, intermediate_size=352, vocabulary=110, tied=True, context=256
)


def model(seed: int = 0, **changes: int):
    return build_model(ARCHITECTURE.model_copy(update=changes), seed, bos=1, eos=2, pad=0)


def test_same_seed_same_weights() -> None:
    first, second, other = model(0).state_dict(), model(0).state_dict(), model(1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


@torch.no_grad()
def test_first_layer_looks_back_and_second_layer_finds_what_followed() -> None:
    built = model()
    built.set_attn_implementation("eager")
    generator, found = torch.Generator().manual_seed(0), []
    for place in range(5, 35):
        ids = torch.randperm(100, generator=generator)[:40] + 10
        sequence = torch.cat([ids, ids[place : place + 1]])[None]  # a token comes back: what followed is one on
        first, second, _ = built(sequence, output_attentions=True).attentions
        for head, distance in ((0, 1), (1, 2), (2, 3)):
            assert first[0, head, -1].argmax() == 40 - distance
        found.append(second[0, 0, -1, place + 1].item())
    assert sum(found) / len(found) > 10 / 41  # ten times what even attention gives
