"""How much a landscape costs beside its forward passes alone, and beside the released notebook's way of making one."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.timing import median, micro_model, one_thread, timed
from raml.probing.directions import AXES, Axis, moved_weights, normalised_direction
from raml.probing.landscape import TOKEN_BUDGET, ForcedAnswer, answer_nll_landscape, make_batches
from raml.probing.packing import scoring
from raml.probing.plane import Plane
from raml.trajectories.pretrained import load_pretrained

GRID = 21  # points along each direction, the usual grid

MICRO_TOKENS = (1, 5, (20, 24, 29, 35))  # of marker, answer and the four prompts, as of the micro benchmarks
SHORT_TOKENS = (8, 3, (12, 13, 14, 15))  # a bare question such as "What is 17 + 25?"
CHAT_TOKENS = (8, 3, (72, 76, 80, 84))  # the same in SmolLM2's chat template, with the instruction


def landscape_benchmark(
    *, size: int = GRID, repetitions: int = 3, pretrained: Path | None = None, pretrained_size: int = 5
) -> dict[str, float]:
    """Three ways over the same grid, on one thread in fp32, in CPU seconds (a busy machine distorts wall time).

    The *landscape* is `answer_nll_landscape` of four questions. Its *forwards* are the same batched passes without
    moving a weight. The *notebook* is our own writing of what the released code does, for four questions in turn: at
    each point x d1 + y d2 is added to the weights and later subtracted, tensor by tensor, and one question is
    scored with the logits of all its tokens. The three alternate; a ratio is the median of the rounds' ratios.

    Args:
        size: grid points along each direction, for a randomly initialised model of micro size.
        repetitions: rounds on it.
        pretrained: folder of a pretrained model (SmolLM2-135M) to measure too, one round.
        pretrained_size: its grid. Ratios are scaled to 21 x 21 points: what is done once (`set_up`) counts once.

    Returns:
        For `micro`, and for `pretrained_short` and `pretrained_chat`, prompts of 12-15 and of 72-84 tokens:
        `_landscape_over_forwards` (target: at most 1.5), `_notebook_over_landscape` (targets: at least 10 for the
        micro model, 3 for the pretrained one), `_max_difference_nats` between notebook and landscape, `_size`,
        `_buffer_bytes` and the median seconds of each way. Both ways do the same matrix products, so the longer the
        questions, the closer the notebook comes, down to the ratio of its unbatched passes.
    """
    with one_thread():
        results = _compare("micro", micro_model(), MICRO_TOKENS, size, repetitions)
        if pretrained is not None:
            model = load_pretrained(pretrained)[0].float()
            results |= _compare("pretrained_short", model, SHORT_TOKENS, pretrained_size, repetitions=1)
            results |= _compare("pretrained_chat", model, CHAT_TOKENS, pretrained_size, repetitions=1)
    return results


def _compare(
    name: str, model: PreTrainedModel, tokens: tuple[int, int, tuple[int, ...]], size: int, repetitions: int
) -> dict[str, float]:
    rng = np.random.default_rng(0)
    marker, answer, prompts = tokens
    questions = [
        ForcedAnswer(*(rng.integers(3, model.config.vocab_size, n).tolist() for n in (prompt, marker, answer)))
        for prompt in prompts
    ]
    answer_nll_landscape(model, questions, size=3)  # warm-up
    forwards_alone(model, questions, size=3)
    directions = {
        axis: {weight.name: normalised_direction(weight, 0, axis, "filter") for weight in moved_weights(model)}
        for axis in AXES
    }
    seconds: dict[str, list[float]] = {"landscape": [], "forwards": [], "notebook": [], "set_up": []}
    for _ in range(repetitions):
        seconds["set_up"].append(timed(partial(_set_up, model))[0])
        spent, landscape = timed(partial(answer_nll_landscape, model, questions, size=size))
        seconds["landscape"].append(spent)
        seconds["forwards"].append(timed(partial(forwards_alone, model, questions, size))[0])
        spent, drifted = timed(partial(notebook_landscape, model, questions, landscape.x, landscape.y, directions))
        seconds["notebook"].append(spent)
    took = {way: np.array(values) for way, values in seconds.items()}
    points = GRID**2 / size**2
    full = took["set_up"] + points * (took["landscape"] - took["set_up"])  # on the usual grid
    return {
        f"{name}_landscape_over_forwards": median(full / (points * took["forwards"])),
        f"{name}_notebook_over_landscape": median(points * took["notebook"] / full),
        f"{name}_max_difference_nats": float(np.abs(drifted - landscape.nll).max()),
        f"{name}_size": size,
        f"{name}_buffer_bytes": landscape.buffer_bytes,
        **{f"{name}_{way}_seconds": median(values) for way, values in took.items()},
    }


def _set_up(model: PreTrainedModel) -> None:
    """What a landscape does once, however large its grid: draw the directions and make room for them."""
    with Plane(model, 0, "filter"):
        pass


def forwards_alone(model: PreTrainedModel, questions: Sequence[ForcedAnswer], size: int) -> None:
    """As many of the landscape's batched forward passes as its grid has points; logits at the answer tokens alone."""
    batches = make_batches(questions, TOKEN_BUDGET, model.device)
    head = model.get_output_embeddings()
    with scoring(model):
        for _ in range(size * size):
            for batch in batches:
                hidden = model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
                head(hidden[batch.row, batch.column])


def notebook_landscape(
    model: PreTrainedModel,
    questions: Sequence[ForcedAnswer],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    directions: dict[Axis, dict[str, Tensor]],
) -> NDArray[np.float64]:
    """The landscape by adding and subtracting, one question at a time; `nll` [questions, size of y, size of x].

    `directions` lie on the CPU, by the weights' names.
    """
    weights = moved_weights(model)
    first, second = (directions[axis] for axis in AXES)
    own = {weight.name: weight.parameter.detach().clone() for weight in weights}
    nll = np.empty((len(questions), len(y), len(x)))
    with scoring(model):
        for number, question in enumerate(questions):
            for column, at_x in enumerate(x):
                for row, at_y in enumerate(y):
                    for weight in weights:
                        weight.parameter.data.add_(_step(weight.parameter, first, second, weight.name, at_x, at_y))
                    nll[number, row, column] = _one_question(model, question)
                    for weight in weights:
                        weight.parameter.data.sub_(_step(weight.parameter, first, second, weight.name, at_x, at_y))
        for weight in weights:  # the released code leaves them as they have drifted
            weight.parameter.data.copy_(own[weight.name])
    return nll


def _step(
    parameter: Tensor, first: dict[str, Tensor], second: dict[str, Tensor], name: str, x: float, y: float
) -> Tensor:
    return x * first[name].to(parameter) + y * second[name].to(parameter)


def _one_question(model: PreTrainedModel, question: ForcedAnswer) -> float:
    ids = torch.tensor([[*question.prompt_ids, *question.marker_ids, *question.answer_ids]], device=model.device)
    answer = len(question.answer_ids)
    scores = torch.softmax(model(input_ids=ids, use_cache=False).logits[0, -answer - 1 : -1], dim=-1)
    return float(-scores[range(answer), ids[0, -answer:]].log().mean())
