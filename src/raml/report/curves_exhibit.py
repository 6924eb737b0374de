"""From answer-NLL curves to an exhibit: what `fig3`, `fig12`, `fig14` (correct trajectories) and `fig16` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from raml.claims.by_benchmark import BenchmarkEffect
from raml.claims.curve_trend import benchmark_trends, trajectory_trends
from raml.config import Probing
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap
from raml.probing.roles import load_tokenizer
from raml.report.curves import GRID, SELECTION_RULE, Curve, Job, Summary, choose, read_points, summarise, to_curves
from raml.report.curves_figure import Kind, draw_curves
from raml.report.exhibit import (
    ONE_QUESTION,
    Cell,
    Column,
    Exhibit,
    Reading,
    Row,
    Table,
    Token,
    interval_cell,
    read_sources,
    write_exhibit,
)
from raml.report.numbers import count, measurement, number, seed_spread
from raml.report.passed_over import what_was_passed_over
from raml.report.probed import probed_model
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.schemas import Question
from raml.step import Step
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["questions", "tokenizer"],
    "many": ["curves", "samples"],
    "outputs": ["figure", "exhibit"],
}
QUARTERS: Final = range(0, len(GRID), (len(GRID) - 1) // 4)

Questions = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CurveFigure:
    """What distinguishes one curve figure from the others; its model is that of `raml.report.probed`."""

    id: str
    title: str
    lead: str
    correct: bool


def build(wanted: CurveFigure, step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        ConfigError: the scale probes no model for this figure.
        DataError: an input cannot be read, or was made at another scale or of another model.
    """
    job, files = step.config, step.files
    model = probed_model(wanted.id, job.probing.models)
    sources = read_sources([*step.lists["curves"], *step.lists["samples"], files["questions"]], step.scale)
    asked = read_table(files["questions"], Question)
    questions: Questions = {row["id"]: row for row in asked.iter_rows(named=True)}
    points = read_points(step.lists["curves"], model)
    passed_over = what_was_passed_over(step.lists["samples"], asked, points, job.probing, model)
    curves = to_curves(points)
    kinds = {correct: [curve for curve in curves if curve.correct == correct] for correct in (True, False)}
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    own, other = (
        Kind(_name(correct), summarise(kinds[correct], bootstrap, _name(correct)))
        for correct in (wanted.correct, not wanted.correct)
    )
    trends = trajectory_trends(points.filter(pl.col("correct") == wanted.correct))
    benchmarks = benchmark_trends(trends, bootstrap, own.name)
    panels = choose(kinds[wanted.correct])
    both = [*panels, *choose(kinds[not wanted.correct])]  # so that fig3 and fig16 have the same y axes
    highest = max((float(curve.nll.max()) for panel in both for curve in panel), default=1.0)
    top = 1.05 * max(highest, *(float(kind.summary.upper.max()) for kind in (own, other) if kind.summary), 0.1)
    answers = {question: row["answer"] for question, row in questions.items()}
    description = _describe(own, panels, model)
    with drawing():
        figure = draw_curves(
            panels, own, other, answers, model=model_name(model), top=top, confidence=job.evaluation.confidence
        )
        write_svg(figure, files["figure"], name=wanted.id, title=wanted.title, description=description)
    exhibit = Exhibit(
        id=wanted.id,
        title=wanted.title,
        lead=wanted.lead,
        scale=step.scale,
        description=description,
        caption=_caption(own, other),
        done=_what_was_done(job, model, passed_over, own.summary.seeds if own.summary else 0),
        deviations=_deviations(model),
        n=_sizes(own, kinds[wanted.correct]),
        tables=[
            *_quarters_table(own, other, job.evaluation.confidence),
            *_benchmarks_table(benchmarks, own.name, job.evaluation.confidence),
            *questions_table(panels, questions),
        ],
        readings=_readings(panels, questions, files["tokenizer"]),
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def _name(correct: bool) -> str:
    return "correct" if correct else "incorrect"


def _describe(own: Kind, panels: Sequence[Sequence[Curve]], model: str) -> str:
    summary = own.summary
    if summary is None:
        return f"Empty: no {own.name} trajectories of {model_name(model)} were followed at this scale."
    first, last = summary.mean[0], summary.mean[-1]
    shown = sum(map(len, panels))
    return (
        f"{count(shown, 'curve')} in {count(len(panels), 'panel')}, one panel a question: mean negative log-likelihood "
        f"of the gold answer in nats per token against trajectory position in tokens. Below, the mean over all "
        f"{own.name} trajectories ({summary.trajectories:,} of {count(summary.questions, 'question')}): it "
        f"{'falls' if last < first else 'rises'} from {number(first)} before the first token to {number(last)} at the "
        "end."
    )


def _caption(own: Kind, other: Kind) -> str:
    reference = f" The dashed line repeats the {other.name} trajectories for reference." if other.summary else ""
    return (
        f"Answer NLL (mean nats per gold-answer token) after each token of {own.name} trajectories: single ones above, "
        f"the mean of all below.{reference} {SELECTION_RULE}"
    )


def what_was_followed(probing: Probing, model: str) -> list[str]:
    """Whose trajectories are followed, and which of them."""
    return [
        f"The model {model_name(model)} sampled completions of the held-out questions "
        f"({', '.join(probing.benchmarks)}); of each question up to {probing.trajectories_per_question} correct and as "
        "many incorrect ones were followed.",
        "Only samples that ended by themselves with an answer are followed: one that ran out of tokens counts as "
        "wrong but has no curve here, so the incorrect trajectories are those that end in a wrong answer. A sample "
        "without any thinking is no trajectory, even if its answer is right, and one that is longer than the model's "
        "context, with prompt, end of thinking, answer marker and gold answer, is left out. Of samples of a question "
        "with the same thinking and the same outcome only the first is followed.",
    ]


def model_name(model: str) -> str:
    """A model's name for people: `SFT long` for `sft_long`."""
    return MODEL_LABELS.get(model, model)


def _what_was_done(job: Job, model: str, passed_over: str, seeds: int) -> list[str]:
    probing, evaluation = job.probing, job.evaluation
    step = "every token" if probing.stride == 1 else f"every {probing.stride} tokens"
    return [
        *what_was_followed(probing, model),
        passed_over,
        f"After {step} of the thinking part the answer marker and the gold answer were forced, and the gold answer's "
        "mean negative log-likelihood taken (the paper's Algorithm 3). Position 0 is the bare question.",
        "The mean curve averages the trajectories of a question first, so that each question counts once. Its interval "
        f"({evaluation.confidence:.0%}, point by point) is from {evaluation.bootstrap_resamples:,} bootstrap resamples "
        f"of questions with all their trajectories{seed_spread(seeds)}.",
    ]


def _deviations(model: str) -> list[str]:
    return [
        f"The paper follows QwQ-32B and Qwen3-32B on four AIME24 questions; here {model_name(model)} answers questions "
        "of this scale's own benchmarks.",
        "The released code drops points that are exactly 0 and smooths with a moving average; here every probed point "
        "is drawn as measured.",
        "Answer tokens are those inside the box of the tokenised completion, not of the answer tokenised alone.",
        "The mean over all trajectories is an addition; the paper shows single curves only.",
    ]


def _sizes(own: Kind, curves: Sequence[Curve]) -> list[tuple[str, int]]:
    summary = own.summary
    return [
        ("questions", summary.questions if summary else 0),
        ("trajectories", summary.trajectories if summary else 0),
        ("training seeds", summary.seeds if summary else 0),
        ("probed positions", sum(len(curve.nll) for curve in curves)),
    ]


def _quarters_table(own: Kind, other: Kind, confidence: float) -> list[Table]:
    rows = [
        Row(heading=f"{kind.name} (of {count(kind.summary.questions, 'question')})", cells=_quarters(kind.summary))
        for kind in (own, other)
        if kind.summary
    ]
    if not rows:
        return []
    columns = [Column(heading=f"{GRID[point]:.0%}", group="share of the trajectory read") for point in QUARTERS]
    caption = f"Mean answer NLL in nats per token, with {confidence:.0%} intervals"
    return [Table(caption=caption, corner="trajectories", columns=columns, rows=rows)]


def _quarters(summary: Summary) -> list[Cell]:
    return [
        Cell(text=estimate, small=interval)
        for estimate, interval in (
            measurement(summary.mean[point], (summary.lower[point], summary.upper[point])) for point in QUARTERS
        )
    ]


def _benchmarks_table(benchmarks: Sequence[BenchmarkEffect], name: str, confidence: float) -> list[Table]:
    rows = []
    for one in benchmarks:
        counts = [Cell(text=f"{size:,}") for size in (one.questions, one.trajectories)]
        rows.append(Row(heading=one.benchmark, cells=[*counts, interval_cell(one.effect, ONE_QUESTION)]))
    if not rows:
        return []
    return [
        Table(
            caption=f"Spearman's rho of answer NLL and position, {name} trajectories, with {confidence:.0%} intervals",
            corner="benchmark",
            columns=[Column(heading=heading) for heading in ("questions", "trajectories", "mean rho")],
            rows=rows,
            note=(
                "The mean over questions, each counting once; \N{MINUS SIGN}1 is a curve that falls at every step. The "
                "verdict pools the benchmarks, and leaves out curves with very few probed positions."
            ),
        )
    ]


def questions_table(panels: Sequence[Sequence[Curve]], questions: Questions) -> list[Table]:
    """The questions that the panels show, with their answers and the ends of their curves; none without panels."""
    if not panels:
        return []
    rows = []
    for panel in panels:
        question = question_of(questions, panel[0].question_id)
        ends = ", ".join(number(curve.nll[-1], 2) for curve in panel)
        cells = [question["prompt"], question["answer"], number(panel[0].nll[0], 2), ends]
        rows.append(Row(heading=panel[0].question_id, cells=[Cell(text=text) for text in cells]))
    headings = ["prompt", "gold answer", "NLL before thinking", "NLL at the end of each trajectory"]
    return [
        Table(
            caption="The questions shown (NLL in nats per token)",
            corner="question",
            columns=[Column(heading=heading) for heading in headings],
            rows=rows,
            numeric=False,
        )
    ]


def _readings(panels: Sequence[Sequence[Curve]], questions: Questions, tokenizer_file: Path) -> list[Reading]:
    """The first curve shown, token by token; none where the probe skipped tokens."""
    curve = next((curve for panel in panels for curve in panel), None)
    if curve is None or len(curve.nll) != curve.length + 1:
        return []
    question = question_of(questions, curve.question_id)
    tokenizer = load_tokenizer(tokenizer_file)
    read = [token for token in curve.token_ids if token is not None]  # none at position 0
    texts = [tokenizer.decode([token], skip_special_tokens=False) for token in read]
    return [
        Reading(
            heading=f"One {_name(curve.correct)} trajectory as the probe reads it",
            prompt=question["prompt"],
            gold_answer=question["answer"],
            start_nll=curve.nll[0],
            tokens=[Token(text=text, nll=nll) for text, nll in zip(texts, curve.nll[1:], strict=True)],
        )
    ]


def question_of(questions: Questions, identity: str) -> Mapping[str, Any]:
    """The row of `schemas.Question` of this id.

    Raises:
        DataError: there is none.
    """
    if identity not in questions:
        raise DataError(
            f"the curves follow question {identity!r}, which --questions lacks; rebuild probes and questions"
        )
    return questions[identity]
