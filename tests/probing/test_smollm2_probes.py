"""The instruments on a real pretrained model: packed curves, exact weight updates, a landscape that leaves no trace."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raml.probing.curves import answer_nll_curves, separate_answer_nll_curve
from raml.probing.forced import END_OF_THINKING_SENTENCE, forced_probe
from raml.probing.implicit import compare, implicit_update
from raml.probing.landscape import ForcedAnswer, answer_nll_landscape
from raml.probing.prompts import question_ids
from raml.trajectories.pretrained import load_pretrained

pytestmark = pytest.mark.pretrained

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]
FOLDER = Path(__file__).parents[2] / ".cache" / "smollm2"
TRAJECTORY = (
    "First add the tens: 10 + 20 = 30. Then add the ones: 7 + 5 = 12. Wait, check that: 7 + 5 is 12 indeed. "
    "Together 30 + 12 = 42."
)


@pytest.fixture(scope="module")
def smollm2() -> Iterator[Loaded]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, tokenizer = load_pretrained(FOLDER)
    yield model.float().eval(), tokenizer
    torch.set_num_threads(threads)


def test_packed_curves_equal_separate_passes(smollm2: Loaded) -> None:
    model, tokenizer = smollm2
    prompt = question_ids(tokenizer, "What is 17 + 25?")
    trajectory = tokenizer.encode(TRAJECTORY)
    probes = [
        forced_probe(tokenizer, "42"),
        forced_probe(tokenizer, "\\frac{84}{2}"),
        forced_probe(tokenizer, "42", end_of_thinking=END_OF_THINKING_SENTENCE),
    ]
    positions = [0, 1, len(trajectory) // 2, len(trajectory)]
    [curves] = answer_nll_curves(model, prompt, [trajectory], probes, positions=positions, token_budget=100)
    for probe, curve in zip(probes, curves, strict=True):
        separate = separate_answer_nll_curve(
            model, prompt, trajectory, probe.marker_ids, probe.answer_ids, positions=positions
        )
        np.testing.assert_allclose(curve, separate, atol=1e-4, rtol=0)
    assert curves[0, -1] < 0.5 * curves[0, 0]  # the trajectory says the answer


@pytest.mark.parametrize(("projection", "answer"), [("output", "4217"), ("output", "4"), ("value", "4")])
def test_an_update_of_weights_stands_for_the_trajectory(smollm2: Loaded, projection: str, answer: str) -> None:
    model, tokenizer = smollm2
    prompt = question_ids(tokenizer, "What is 17 + 25?")
    probe = forced_probe(tokenizer, answer)
    parts = prompt, tokenizer.encode(TRAJECTORY), probe.marker_ids, probe.answer_ids
    update = implicit_update(model, *parts, projection=projection)  # type: ignore[arg-type]
    assert compare(model, update, *parts).logit_difference < 1e-3


def test_a_landscape_leaves_every_bit_of_the_weights(smollm2: Loaded) -> None:
    model, tokenizer = smollm2
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    probe = forced_probe(tokenizer, "42")
    asked = ForcedAnswer(question_ids(tokenizer, "What is 17 + 25?"), probe.marker_ids, probe.answer_ids)
    found = answer_nll_landscape(model, [asked], size=3)
    centre = separate_answer_nll_curve(
        model, asked.prompt_ids, tokenizer.encode("So"), probe.marker_ids, probe.answer_ids, positions=[0]
    )
    assert found.nll[0, 1, 1] == pytest.approx(centre[0], abs=1e-4)
    assert np.ptp(found.nll) > 0.1
    for name, weights in model.named_parameters():
        assert torch.equal(weights, before[name]), name
