"""From curves in both modes to an exhibit: what `fig5`, `fig13` and `fig15` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from raml.claims.by_benchmark import BenchmarkEffect, benchmark_effects
from raml.claims.decision import interval_or_none
from raml.claims.mode_pair import QUANTITIES, mode_pairs
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.report.curves import GRID, PANELS, Curve, Job, Summary, choose, read_points, summarise, to_curves
from raml.report.curves_exhibit import QUARTERS, Questions, model_name, question_of, what_was_followed
from raml.report.exhibit import Cell, Column, Exhibit, Row, Table, interval_cell, read_sources, write_exhibit
from raml.report.numbers import count, measurement, number, seed_spread
from raml.report.pairs_figure import LABELS, MODES, Difference, Pair, draw_pairs
from raml.report.passed_over import what_was_passed_over
from raml.report.probed import probed_model
from raml.report.svg import drawing, write_svg
from raml.schemas import Question
from raml.step import Step
from raml.storage import read_table


@dataclass(frozen=True)
class PairFigure:
    """What distinguishes one figure of pairs from the others; its model is that of `raml.report.probed`.

    `curves` is the figure that shows the thinking curves of the same model.
    """

    id: str
    title: str
    lead: str
    curves: str


def build(wanted: PairFigure, step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        ConfigError: the scale probes no model for this figure.
        DataError: an input cannot be read, or was made at another scale or of another model.
    """
    job, files, evaluation = step.config, step.files, step.config.evaluation
    model = probed_model(wanted.id, job.probing.models)
    sources = read_sources([*step.lists["curves"], *step.lists["samples"], files["questions"]], step.scale)
    asked = read_table(files["questions"], Question)
    questions: Questions = {row["id"]: row for row in asked.iter_rows(named=True)}
    points = {mode: read_points(step.lists["curves"], model, mode) for mode in MODES}
    passed_over = what_was_passed_over(step.lists["samples"], asked, points["thinking"], job.probing, model)
    pairs = mode_pairs(pl.concat(points.values()), min_positions=1)
    correct = pairs.filter(pl.col("correct"))
    paired = correct.select("seed", "trajectory_id")
    curves = {
        mode: to_curves(table.join(paired, on=["seed", "trajectory_id"], how="semi")) for mode, table in points.items()
    }
    shown = shown_pairs(curves, correct)
    bootstrap = Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence)
    summaries = {mode: summarise(of_mode, bootstrap, "correct") for mode, of_mode in curves.items()}
    means = {mode: summary for mode, summary in summaries.items() if summary}
    tables = [
        *_quarters_table(means, evaluation.confidence),
        *_differences_table(pairs, bootstrap),
        *_questions_table(shown, questions),
    ]
    highest = max((float(curve.nll.max()) for pair in shown for curve in pair.curves.values()), default=1.0)
    top = 1.05 * max(highest, *(float(summary.upper.max()) for summary in means.values()), 0.1)
    answers = {question: row["answer"] for question, row in questions.items()}
    differences = _differences(correct, bootstrap)
    description = _describe(shown, means, differences[0], model)
    with drawing():
        figure = draw_pairs(
            shown, means, differences, answers, model=model_name(model), top=top, confidence=evaluation.confidence
        )
        write_svg(figure, files["figure"], name=wanted.id, title=wanted.title, description=description)
    exhibit = Exhibit(
        id=wanted.id,
        title=wanted.title,
        lead=wanted.lead,
        scale=step.scale,
        description=description,
        caption=(
            "Answer NLL (mean nats per gold-answer token) after each token of correct trajectories, with and without "
            "the end-of-thinking delimiter before the answer marker: single trajectories above, below the mean of all "
            f"and the mean differences. Shown are the questions of {wanted.curves}, and of each the first trajectory "
            "there; the shape of a curve plays no part in the choice. A marker stands where a curve has first made "
            "half of its fall."
        ),
        done=_what_was_done(job, model, passed_over, correct["seed"].n_unique()),
        deviations=_deviations(job, model),
        n=[
            ("questions", correct["question_id"].n_unique()),
            ("correct trajectories, each in both modes", correct.height),
            ("incorrect trajectories, each in both modes", pairs.filter(~pl.col("correct")).height),
            ("training seeds", correct["seed"].n_unique()),
            ("probed positions of correct trajectories", sum(len(one.nll) for mode in MODES for one in curves[mode])),
        ],
        tables=tables,
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def shown_pairs(curves: Mapping[str, Sequence[Curve]], pairs: pl.DataFrame) -> list[Pair]:
    """The first trajectory of each panel that `raml.report.curves.choose` makes, with both of its curves.

    Args:
        curves: those of the paired trajectories, by mode.
        pairs: rows of `claims.mode_pair.mode_pairs` of the same trajectories.
    """
    by_trajectory = {(one.seed, one.trajectory_id): one for one in curves["no_thinking"]}
    half_falls = {
        (seed, name): {"thinking": thinking, "no_thinking": no_thinking}
        for seed, name, thinking, no_thinking in pairs.select(
            "seed", "trajectory_id", "half_fall", "half_fall_no_thinking"
        ).iter_rows()
    }
    found = []
    for panel in choose(curves["thinking"])[:PANELS]:
        key = panel[0].seed, panel[0].trajectory_id
        found.append(Pair({"thinking": panel[0], "no_thinking": by_trajectory[key]}, half_falls[key]))
    return found


def _differences(correct: pl.DataFrame, bootstrap: Bootstrap) -> list[Difference]:
    """All benchmarks together first, then each by itself."""
    half_fall, end = (
        [_all(correct, column, bootstrap), *benchmark_effects(correct, column, bootstrap, "correct", column)]
        for column in ("half_fall_difference", "end_difference")
    )
    return [Difference(one.benchmark, one.effect, other.effect) for one, other in zip(half_fall, end, strict=True)]


def _all(rows: pl.DataFrame, column: str, bootstrap: Bootstrap, label: str = "correct") -> BenchmarkEffect:
    """The mean over all benchmarks, seeded as in the claim's test."""
    effect = interval_or_none(cells(rows, column), bootstrap, label, column)
    return BenchmarkEffect("all", effect, rows["question_id"].n_unique(), rows.height)


def _describe(shown: Sequence[Pair], means: Mapping[str, Summary], pooled: Difference, model: str) -> str:
    if not means:
        return f"Empty: no correct trajectories of {model_name(model)} were followed in both modes at this scale."
    ends = " and ".join(
        f"from {number(summary.mean[0])} to {number(summary.mean[-1])} in {LABELS[mode]} mode"
        for mode, summary in means.items()
    )
    difference = (
        " No-thinking less thinking, on average: half of the fall is first made after a share of the trajectory that "
        f"differs by {_signed(pooled.half_fall)}, and the NLL at the end differs by {_signed(pooled.end)} nats/token."
        if pooled.half_fall and pooled.end
        else ""
    )
    return (
        f"{count(len(shown), 'panel')}, one a question, with two curves of the same trajectory: mean negative "
        f"log-likelihood of the gold answer in nats per token against position, without and with the end-of-thinking "
        f"delimiter. Below, the means over all correct trajectories go {ends}.{difference}"
    )


def _signed(interval: Interval) -> str:
    text, small = measurement(interval.estimate, (interval.lower, interval.upper))
    return f"{text} ({small})"


def _what_was_done(job: Job, model: str, passed_over: str, seeds: int) -> list[str]:
    probing, evaluation = job.probing, job.evaluation
    step = "every token" if probing.stride == 1 else f"every {probing.stride} tokens"
    return [
        *what_was_followed(probing, model),
        passed_over,
        f"After {step} of the thinking part the gold answer's mean negative log-likelihood was taken twice: with the "
        "answer marker forced straight after the prefix (thinking mode, the paper's Algorithm 3), and with "
        f"\N{LEFT DOUBLE QUOTATION MARK}{probing.end_of_thinking}\N{RIGHT DOUBLE QUOTATION MARK} forced before the "
        "marker (no-thinking mode).",
        "A curve has made half of its fall at the first probed position where the NLL is at most half way between its "
        "values at the first and at the last position; for a curve that ends no lower than it starts this counts as "
        "the whole trajectory. That first crossing decides; beside it the table has the last one, from which on the "
        "curve stays at or below half way. Both curves of a trajectory are compared with each other.",
        "Means average the trajectories of a question first, so that each question counts once. Intervals "
        f"({evaluation.confidence:.0%}; along the curves point by point) are from {evaluation.bootstrap_resamples:,} "
        f"bootstrap resamples of questions with all their trajectories{seed_spread(seeds)}.",
    ]


def _deviations(job: Job, model: str) -> list[str]:
    delimiter = job.probing.end_of_thinking
    return [
        "The paper follows QwQ-32B (delimiter: \N{LEFT DOUBLE QUOTATION MARK}Therefore, after all this, I believe the "
        "answer is\N{RIGHT DOUBLE QUOTATION MARK}) and Qwen3-32B (</think>) on AIME24 questions; here "
        f"{model_name(model)} answers questions of this scale's own benchmarks, with {delimiter}.",
        "Which mode is the model's habit depends on its training: where completions close the thinking with the "
        "delimiter before they answer, no-thinking mode is the familiar one and thinking mode, which the paper's "
        "Algorithm 3 prescribes, is not. Of this project's own small models, SFT saw the delimiter in every document, "
        "pretraining in half of them.",
        "The released code drops points that are exactly 0 and smooths with a moving average; here every probed point "
        "is drawn as measured.",
        "The paper shows single curves only; the means and differences are an addition, and so is a definition of "
        "how fast a curve falls.",
        "Where a curve crosses half way depends on its roughness too: noise along it makes the first crossing earlier "
        "and the last one later (a linear fall by 1 nat over 50 tokens crosses after 0.48 and 0.54 of them with white "
        "noise of 0.05 nats, after 0.21 and 0.82 with 0.3 nats). If the curves of one mode are rougher for the size of "
        "their fall, the two differences are biased in opposite directions; where both agree, roughness alone does not "
        "explain them.",
    ]


def _quarters_table(means: Mapping[str, Summary], confidence: float) -> list[Table]:
    if not means:
        return []
    rows = [
        Row(
            heading=LABELS[mode],
            cells=[
                interval_cell(Interval(summary.mean[point], summary.lower[point], summary.upper[point]))
                for point in QUARTERS
            ],
        )
        for mode, summary in means.items()
    ]
    return [
        Table(
            caption=f"Mean answer NLL of correct trajectories in nats per token, with {confidence:.0%} intervals",
            corner="mode",
            columns=[Column(heading=f"{GRID[point]:.0%}", group="share of the trajectory read") for point in QUARTERS],
            rows=rows,
        )
    ]


def _differences_table(pairs: pl.DataFrame, bootstrap: Bootstrap) -> list[Table]:
    """Both quantities in both modes and their differences: of all trajectories, by benchmark, and incorrect ones."""
    correct, incorrect = (pairs.filter(pl.col("correct") == wanted) for wanted in (True, False))
    parts = [("all", correct, "correct")]
    parts += [
        (str(name), rows, "correct")
        for (name,), rows in correct.sort("benchmark").group_by("benchmark", maintain_order=True)
    ]
    parts += [("incorrect trajectories", incorrect, "incorrect")]
    rows = []
    for heading, of_part, label in parts:
        if of_part.is_empty():
            continue
        named = [heading] if heading in set(pairs["benchmark"]) else []
        values = [
            interval_cell(interval_or_none(cells(of_part, column), bootstrap, label, column, *named))
            for quantity in QUANTITIES
            for column in (quantity, f"{quantity}_no_thinking", f"{quantity}_difference")
        ]
        counts = [Cell(text=f"{size:,}") for size in (of_part["question_id"].n_unique(), of_part.height)]
        rows.append(Row(heading=heading, cells=[*counts, *values]))
    if not rows:
        return []
    groups = (
        "share of the trajectory when half of the fall is first made",
        "when it is made for good (last crossing)",
        "NLL at the end",
    )
    headings = (*LABELS.values(), "difference")
    return [
        Table(
            caption=f"The two modes of the same trajectories, with {bootstrap.confidence:.0%} intervals",
            corner="benchmark",
            columns=[
                *(Column(heading=heading) for heading in ("questions", "trajectories")),
                *(Column(heading=heading, group=group) for group in groups for heading in headings),
            ],
            rows=rows,
            note=(
                "Correct trajectories, except in the last row. The difference is no-thinking less thinking: below 0 "
                "no-thinking falls faster (left and middle) or ends lower (right). The verdicts go by the first "
                "crossing and the end; they pool the benchmarks, and leave out curves with very few probed positions."
            ),
        )
    ]


def _questions_table(shown: Sequence[Pair], questions: Questions) -> list[Table]:
    if not shown:
        return []
    rows = []
    for pair in shown:
        question = question_of(questions, pair.thinking.question_id)
        ends = [f"{number(pair.curves[mode].nll[0], 2)}, {number(pair.curves[mode].nll[-1], 2)}" for mode in MODES]
        cells_ = [question["prompt"], question["answer"], *ends]
        rows.append(Row(heading=pair.thinking.question_id, cells=[Cell(text=text) for text in cells_]))
    headings = ["prompt", "gold answer", *(f"NLL before and after thinking, {LABELS[mode]} mode" for mode in MODES)]
    return [
        Table(
            caption="The questions shown (NLL in nats per token)",
            corner="question",
            columns=[Column(heading=heading) for heading in headings],
            rows=rows,
            numeric=False,
        )
    ]
