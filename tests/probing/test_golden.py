"""Curves of small models whose weights are a formula, against numbers in `golden.json`.

The numbers are separate passes in fp64. They change only if the definition of a curve, or what transformers computes
for an architecture, does; then `python tests/probing/test_golden.py` writes them anew.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import build
from transformers import PreTrainedModel

from raml.probing.curves import Probe, answer_nll_curves, separate_answer_nll_curve

GOLDEN = Path(__file__).parent / "golden.json"
PROMPT, TRAJECTORIES = [1, 5, 9, 2], [[4, 8, 15, 16, 23, 36, 11, 3, 3, 20, 7, 1], [4, 8, 14, 6]]
PROBES = {
    "thinking": Probe((30, 31), (7, 3, 11)),
    "distractor": Probe((30, 31), (7, 4)),
    "no thinking": Probe((12, 13, 30, 31), (7, 3, 11)),
}
ARCHITECTURES = ["gemma3", "gpt2", "llama", "qwen2", "qwen3"]


def formula_model(architecture: str) -> PreTrainedModel:
    """The tiny model with weights in [-0.7, 0.7) by the splitmix64 generator, norms around 1."""
    theta = {"rope_type": "default", "rope_theta": 10_000.0}
    ropes = {"full_attention": {**theta, "rope_theta": 1e6}, "sliding_attention": theta}
    settings: dict[str, Any] = {} if architecture == "gpt2" else {"rope_parameters": theta}
    if architecture == "gemma3":
        settings = {"rope_parameters": ropes}
    model = build(architecture, tie_word_embeddings=True, **settings)
    with torch.no_grad():
        for index, (name, weights) in enumerate(sorted(model.named_parameters())):
            values = torch.from_numpy(uniform(weights.numel(), index)).view(weights.shape)
            is_norm = "norm" in name or "ln_" in name
            weights.copy_(1.0 + 0.2 * values if is_norm else 1.4 * values)
    return model


def uniform(n: int, stream: int) -> np.ndarray:
    """[n] numbers in [-0.5, 0.5)."""
    with np.errstate(over="ignore"):
        state = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(stream << 32)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) / 2**53 - 0.5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_curves_are_the_golden_ones(architecture: str) -> None:
    golden = json.loads(GOLDEN.read_text())[architecture]
    curves = answer_nll_curves(formula_model(architecture), PROMPT, TRAJECTORIES, list(PROBES.values()))
    for curve, expected in zip(curves, golden, strict=True):
        for values, name in zip(curve, PROBES, strict=True):
            np.testing.assert_allclose(values, expected[name], atol=1e-5, rtol=0)
            assert np.ptp(values) > 0.1


def write() -> None:
    golden = {
        architecture: [
            {
                name: separate_answer_nll_curve(
                    formula_model(architecture).double(), PROMPT, trajectory, probe.marker_ids, probe.answer_ids
                )
                .round(8)
                .tolist()
                for name, probe in PROBES.items()
            }
            for trajectory in TRAJECTORIES
        ]
        for architecture in ARCHITECTURES
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    write()
