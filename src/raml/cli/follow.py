"""The work of `raml probe`: token ids, curves, and the files made of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raml.answers.format import INSTRUCTION
from raml.cli.common import origin, output_folder, precision
from raml.config import Section
from raml.errors import InputError
from raml.probing.curves import TOKEN_BUDGET, Curve, Probe, answer_nll_curves
from raml.probing.forced import default_end_of_thinking, forced_probe
from raml.probing.prompts import exact_ids, question_ids
from raml.probing.text import Tokens, known, pieces
from raml.progress import progress
from raml.report.numbers import number
from raml.report.viewer import Followed, Mode, Series, Viewer, viewer_page
from raml.report.viewer_figure import write_figure
from raml.schemas import ProbeCurve, column_types
from raml.storage import write_table, write_text

if TYPE_CHECKING:
    from raml.trajectories.hub import Pretrained


class Request(Section):
    """What was asked for; its hash stands in the table's metadata."""

    model: str
    question: str
    prompt: str | None
    instruction: str | None
    answers: tuple[str, ...]  # the gold one first
    trajectories: dict[str, str]  # text by name
    modes: tuple[Mode, ...]
    end_of_thinking: str | None
    stride: int
    token_budget: int | None


@dataclass(frozen=True)
class Result:
    """Curves of all trajectories: rows of `schemas.ProbeCurve`, and what the page shows."""

    table: pl.DataFrame
    viewer: Viewer

    def summary(self) -> Iterator[str]:
        """Two lines for each trajectory and mode of the gold answer."""
        for trajectory in self.viewer.trajectories:
            for series, nll in zip(self.viewer.series, trajectory.nll, strict=True):
                if series.gold:
                    yield from _summary(trajectory, series.mode, nll)


def follow(request: Request, pretrained: "Pretrained") -> Result:
    """Probe all trajectories in all modes with all answers.

    Raises:
        InputError: text that cannot be used, or that is longer than the model's context.
        RamlError: the model's logits are not finite.
    """
    model, tokenizer = pretrained
    closing = request.end_of_thinking
    if "no_thinking" in request.modes and closing is None:
        closing = default_end_of_thinking(tokenizer)
    forced = list(product(request.answers, request.modes))
    probes = [
        forced_probe(tokenizer, answer, end_of_thinking=closing if mode == "no_thinking" else None)
        for answer, mode in forced
    ]
    if len(set(probes)) < len(probes):
        raise InputError(
            "an answer is given twice, token by token; distractors must differ from the answer and from each other"
        )
    if request.prompt is None:
        instruction = INSTRUCTION if request.instruction is None else request.instruction
        prompt_ids = question_ids(tokenizer, request.question, instruction=instruction)
    else:
        prompt_ids = exact_ids(tokenizer, request.prompt)
    texts = {name: known(tokenizer, text, f"trajectory {name}") for name, text in request.trajectories.items()}
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for name, tokens in texts.items():
        check_length(name, tokens, len(prompt_ids), probes, context)
        if request.stride > len(tokens.ids):
            raise InputError(f"--stride {request.stride}: trajectory {name} has only {len(tokens.ids)} tokens")

    curves = _curves(pretrained, prompt_ids, list(texts.values()), probes, request)
    series = [Series(mode=mode, answer=answer, gold=answer == request.answers[0]) for answer, mode in forced]
    followed = [
        Followed(
            name=name,
            tokens=pieces(request.trajectories[name], tokens.spans),
            positions=probed(len(tokens.ids), request.stride),
            nll=curve.tolist(),
        )
        for (name, tokens), curve in zip(texts.items(), curves, strict=True)
    ]
    facts = [("Precision", precision(pretrained))]
    if request.stride > 1:
        facts.append(("Probed", f"every {request.stride} tokens, and at the end"))
    viewer = Viewer(
        model=request.model,
        question=request.question or str(request.prompt),
        facts=facts,
        series=series,
        trajectories=followed,
        end_of_thinking=closing,
    )
    return Result(_table(request, series, texts, curves), viewer)


def write(request: Request, result: Result, out: Path) -> None:
    """Write `curves.parquet`, `curves.svg` and `index.html` into the folder `out`, all or none."""
    page = viewer_page(result.viewer)
    made_by = origin(request, __name__, request.model)
    with output_folder(out) as folder:
        write_table(result.table, ProbeCurve, folder / "curves.parquet", made_by)
        write_figure(result.viewer, folder / "curves.svg")
        write_text(page, folder / "index.html")


def probed(length: int, stride: int) -> Sequence[int]:
    """Every `stride`-th position of a trajectory of `length` tokens, from 0, and its last."""
    return [*range(0, length, stride), length]


def check_length(name: str, tokens: Tokens, prompt: int, probes: Sequence[Probe], context: int | None) -> None:
    """Of a trajectory after `prompt` tokens.

    Raises:
        InputError: what is forced after it would not fit the model's context.
    """
    forced = max(len(probe.marker_ids) + len(probe.answer_ids) for probe in probes)
    length = prompt + len(tokens.ids) + forced
    if context is not None and length > context:
        room = context - prompt - forced
        raise InputError(
            f"trajectory {name}: prompt {prompt} + trajectory {len(tokens.ids)} + forced text {forced} = {length} "
            f"tokens exceed the model's context of {context}; "
            + (f"shorten the trajectory to {room} tokens" if room > 0 else "the prompt leaves no room")
        )


def _curves(
    pretrained: "Pretrained",
    prompt_ids: tuple[int, ...],
    texts: Sequence[Tokens],
    probes: list[Probe],
    request: Request,
) -> list[Curve]:
    """Of each trajectory [probes, positions]; they share the prompt's keys and values if every position is probed."""
    positions = [probed(len(tokens.ids), request.stride) for tokens in texts]
    budget = request.token_budget or TOKEN_BUDGET
    with progress("probing", sum(map(len, positions)) * len(probes), "point") as line:

        def curves(tokens: Sequence[Tokens], at: Sequence[int] | None) -> list[Curve]:
            return answer_nll_curves(
                pretrained.model,
                prompt_ids,
                [one.ids for one in tokens],
                probes,
                positions=at,
                token_budget=budget,
                progress=line.update,
            )

        if request.stride == 1:
            return curves(texts, None)
        return [curves([one], at)[0] for one, at in zip(texts, positions, strict=True)]


def _table(request: Request, series: list[Series], texts: dict[str, Tokens], curves: list[Curve]) -> pl.DataFrame:
    asked = request.question or str(request.prompt)
    question_id = f"question-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
    rows = [
        {
            "trajectory_id": f"{question_id}/{Path(request.model).name}/{name}",
            "question_id": question_id,
            "benchmark": "cli",
            "model": request.model,
            "seed": 0,
            "mode": one.mode,
            "answer": one.answer,
            "correct": None,
            "position": position,
            "length": len(tokens.ids),
            "token_id": tokens.ids[position - 1] if position else None,
            "nll": value,
        }
        for (name, tokens), by_series in zip(texts.items(), curves, strict=True)
        for one, nll in zip(series, by_series, strict=True)
        for position, value in zip(probed(len(tokens.ids), request.stride), nll.tolist(), strict=True)
    ]
    return pl.DataFrame(rows, schema=column_types(ProbeCurve))


def _summary(trajectory: Followed, mode: Mode, nll: Sequence[float]) -> Iterator[str]:
    last = trajectory.positions[-1]
    where = f"{trajectory.name}, {mode.replace('_', ' ')}"
    yield f"{where}: NLL {number(nll[0])} nats per answer token at the start, {number(nll[-1])} after {last} tokens"
    changes = [after - before for before, after in pairwise(nll)]
    largest = min(changes, default=0.0)
    if largest >= 0:
        yield f"{where}: the NLL falls at no token"
        return
    step = changes.index(largest) + 1
    start, end = trajectory.positions[step - 1], trajectory.positions[step]
    tokens = f"token {end}" if end == start + 1 else f"tokens {start + 1} to {end}"
    yield f"{where}: largest drop {number(-largest)} nats at {tokens}, {''.join(trajectory.tokens[start:end])!r}"
