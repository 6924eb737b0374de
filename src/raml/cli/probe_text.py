"""The work of `raml probe`: token ids, curves, and the files made of them."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

import polars as pl

from raml.cli import own_model
from raml.cli.output import print_line
from raml.config import Section
from raml.errors import InputError
from raml.probing.forced import default_end_of_thinking, forced_probe
from raml.probing.text import Tokens, known, pieces
from raml.report.numbers import number
from raml.report.viewer import MOST_ANSWERS, Followed, Mode, Series, Viewer, viewer_page
from raml.report.viewer_figure import write_figure
from raml.schemas import ProbeCurve, column_types
from raml.storage import write_table, write_text
from raml.trajectories.hub import Pretrained, load_named


class Request(Section):
    """What is to be probed; its hash stands in the table's metadata."""

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


def run(request: Request, device: str, dtype: str, out: Path) -> None:
    """Probe, write `curves.parquet`, `curves.svg` and `index.html` into the folder `out`, and sum up.

    Raises:
        InputError: a model or text that cannot be used, or a text longer than the model's context.
        RamlError: the model's logits are not finite, or `out` cannot be written.
    """
    if len(request.answers) > MOST_ANSWERS:
        raise InputError(
            f"{len(request.answers) - 1} distractors: {MOST_ANSWERS - 1} can be told apart from each other in a "
            "figure; follow the others in a run of their own"
        )
    pretrained = load_named(request.model, device=device, dtype=dtype)
    texts = {
        name: known(pretrained.tokenizer, text, f"trajectory {name}") for name, text in request.trajectories.items()
    }
    viewer = _probe(request, pretrained, texts)
    page = viewer_page(viewer)
    with own_model.output_folder(out) as folder:
        provenance = own_model.origin(request, __name__, request.model)
        write_table(_table(viewer, texts), ProbeCurve, folder / "curves.parquet", provenance)
        write_figure(viewer, folder / "curves.svg")
        write_text(page, folder / "index.html")
    for trajectory, (place, series) in product(viewer.trajectories, enumerate(viewer.series)):
        for line in _summary(trajectory, series.mode, trajectory.nll[place]) if series.gold else ():
            print_line(line)
    print_line(f"page: {out / 'index.html'}\nfigure: {out / 'curves.svg'}\ntable: {out / 'curves.parquet'}")


def _probe(request: Request, pretrained: Pretrained, texts: dict[str, Tokens]) -> Viewer:
    """All trajectories in all modes with all answers."""
    closing = request.end_of_thinking
    if "no_thinking" in request.modes and closing is None:
        closing = default_end_of_thinking(pretrained.tokenizer)
    series = [
        Series(mode=mode, answer=answer, gold=answer == request.answers[0])
        for answer, mode in product(request.answers, request.modes)
    ]
    probes = [
        forced_probe(pretrained.tokenizer, one.answer, end_of_thinking=closing if one.mode == "no_thinking" else None)
        for one in series
    ]
    if len(set(probes)) < len(probes):
        raise InputError(
            "an answer is given twice, token by token; distractors must differ from the answer and from each other"
        )
    exact = [] if request.prompt is None else [request.prompt]
    [prompt] = own_model.prompts_of(pretrained, [] if exact else [request.question], exact, request.instruction)
    for name, tokens in texts.items():
        own_model.check_length(pretrained, f"trajectory {name}", prompt, tokens, probes)
        if request.stride > len(tokens.ids):
            raise InputError(f"--stride {request.stride}: trajectory {name} has only {len(tokens.ids)} tokens")
    curves = own_model.measure_curves(
        pretrained, prompt, list(texts.values()), probes, request.token_budget, request.stride
    )
    facts = [("Precision", own_model.precision(pretrained))]
    if request.stride > 1:
        facts.append(("Probed", f"every {request.stride} tokens, and at the end"))
    trajectories = [
        Followed(
            name=name,
            tokens=pieces(request.trajectories[name], tokens.spans),
            positions=own_model.positions_of(tokens, request.stride),
            nll=curve.tolist(),
        )
        for (name, tokens), curve in zip(texts.items(), curves, strict=True)
    ]
    question = request.question or str(request.prompt)
    return Viewer(request.model, question, facts, series, trajectories, end_of_thinking=closing)


def _table(viewer: Viewer, texts: dict[str, Tokens]) -> pl.DataFrame:
    """Rows of `schemas.ProbeCurve`."""
    question_id = f"question-{hashlib.sha256(viewer.question.encode()).hexdigest()[:8]}"
    rows = [
        {
            "trajectory_id": f"{question_id}/{Path(viewer.model).name}/{trajectory.name}",
            "question_id": question_id,
            "benchmark": "cli",
            "model": viewer.model,
            "seed": 0,
            "mode": series.mode,
            "answer": series.answer,
            "correct": None,
            "position": position,
            "length": len(texts[trajectory.name].ids),
            "token_id": texts[trajectory.name].ids[position - 1] if position else None,
            "nll": value,
        }
        for trajectory in viewer.trajectories
        for series, nll in zip(viewer.series, trajectory.nll, strict=True)
        for position, value in zip(trajectory.positions, nll, strict=True)
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
