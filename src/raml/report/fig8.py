"""Figure 8: SFT on more or fewer trajectories a question, each question trained on equally often.

    python -m raml.report.fig8 --scale S --config '<evaluation, sft, kinds, series>' \
        --evaluations E --questions results/S/questions/{train,benchmarks}.parquet \
        --styles short long --trajectories results/S/trajectories/oracle_{short,long}.parquet \
        --claims config/claims.yaml --reported config/reported.yaml --figure F.svg --exhibit F.json
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from pydantic import Field

from raml.claims.registry import Registry, load_registry
from raml.claims.sections import Trend
from raml.config import SFT, BenchmarkKind, Evaluation, Section
from raml.errors import ConfigError, DataError
from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.fig8_figure import DOSE, Panel, draw_doses
from raml.report.numbers import percent, seed_spread
from raml.report.scores import metric_names, read_evaluations
from raml.report.solutions import Solutions, different_solutions, share_with, solutions_table
from raml.report.svg import drawing, write_svg
from raml.report.sweeps import POOLED, Score, Scores, at, cell, doubling_slope, listed, measure, places, slope_cell
from raml.runs import Series
from raml.schemas import Question, Trajectory
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["evaluations", "claims", "reported"],
    "many": ["questions", "trajectories"],
    "many_names": ["styles"],
    "outputs": ["figure", "exhibit"],
}
TITLE: Final = "Figure 8: trajectories per question in SFT"
PREFIX: Final = "fig8_"


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    sft: dict[str, SFT] = Field(description="by style")
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks that the sweep is evaluated on")
    series: dict[str, Series] = Field(description="of `raml.runs.series`; those of other figures are ignored")


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        ConfigError: the series are of other styles than the trajectories, or the claims are malformed.
        DataError: an input cannot be read, was made at another scale, or a question that was evaluated is in none of
            `--questions`.
    """
    job, files, lists = step.config, step.files, step.lists
    series = {name.removeprefix(PREFIX): one for name, one in job.series.items() if name.startswith(PREFIX)}
    styles = step.name_lists["styles"]
    if not sorted(series) == sorted(job.sft) == sorted(styles) or len(styles) != len(lists["trajectories"]):
        raise ConfigError(
            f"--styles {' '.join(styles)} with {len(lists['trajectories'])} --trajectories: give one of each for every "
            f"style of sft ({', '.join(job.sft)}) and of the series ({', '.join(series)})"
        )
    sources = read_sources([files["evaluations"], *lists["questions"], *lists["trajectories"]], step.scale)
    evaluations = read_evaluations(files["evaluations"], job.evaluation, job.kinds)
    questions = pl.concat(read_table(path, Question) for path in lists["questions"])
    written = {style: read_table(path, Trajectory) for style, path in zip(styles, lists["trajectories"], strict=True)}
    solutions = {style: different_solutions(table, questions, job.sft[style]) for style, table in written.items()}
    metrics = metric_names(job.evaluation)
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    models = [model for style in styles for model in series[style].models]
    shown, swept = places(evaluations), evaluations.filter(pl.col("model").is_in(models))
    left_out = left_out_by_style(load_registry(files["claims"], files["reported"]), styles, shown)
    scores: dict[tuple[str, str, str], Score] = {}
    panels = []
    for style in styles:
        scores |= measure(evaluations, series[style].models, metrics, bootstrap, left_out[style])
        for place in shown:
            asked = at(evaluations, place, left_out[style])
            enough = _enough(solutions[style], asked, questions, series[style])
            panels.append(Panel(style, place, series[style], enough, place not in left_out[style]))
    description = _describe(styles, series, scores, metrics, shown)
    with drawing():
        figure = draw_doses(panels, scores, metrics, job.evaluation.confidence)
        write_svg(figure, files["figure"], name="fig8", title=TITLE, description=description)
    exhibit = Exhibit(
        id="fig8",
        title=TITLE,
        lead="Does a larger support set, more different trajectories of each question, make a better inner loop?",
        scale=step.scale,
        description=description,
        caption=(
            f"{metrics[0]} and {metrics[1]} of SFT models against the number of different trajectories that each "
            f"question was trained on, with {job.evaluation.confidence:.0%} intervals; thin lines are single training "
            "seeds. Hollow marks: at least half of the training questions of these families have fewer different "
            "solutions than the mark asks for, so that the model saw little or nothing new."
        ),
        done=_what_was_done(job, styles, shown, swept),
        deviations=_deviations(left_out),
        n=[
            ("models a seed", swept["model"].n_unique()),
            ("benchmarks", swept["benchmark"].n_unique()),
            ("questions", swept["question_id"].n_unique()),
            ("training questions", max(table.height for table in solutions.values())),
            ("training seeds", swept["seed"].n_unique()),
        ],
        tables=[
            *(
                scores_table(style, series[style], evaluations, scores, metrics, bootstrap, left_out[style])
                for style in styles
            ),
            solutions_table(solutions, {style: series[style].doses for style in styles}),
        ],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def scores_table(
    style: str,
    series: Series,
    evaluations: pl.DataFrame,
    scores: Scores,
    metrics: Sequence[str],
    bootstrap: Bootstrap,
    left_out: Sequence[str],
) -> Table:
    """A row for each place and metric, a column for each dose, and the slope over all of them; `left_out` marked."""
    evaluated = set(evaluations["model"])
    complete = all(model in evaluated for model in series.models)
    rows = []
    for place in places(evaluations):
        for metric in metrics:
            slope = doubling_slope(evaluations, series, PREFIX + style, place, metric, bootstrap, left_out)
            found = [cell(scores.get((model, place, metric))) for model in series.models]
            group = f"{place} (not deciding)" if place in left_out else place
            rows.append(Row(heading=metric, cells=[*found, slope_cell(slope, complete=complete)], group=group))
    return Table(
        caption=f"SFT on {style} trajectories, in per cent, with {bootstrap.confidence:.0%} intervals",
        corner="benchmark, metric",
        columns=[
            *(Column(heading=f"{dose:g}", group=DOSE) for dose in series.doses),
            Column(heading="points a doubling", group="slope"),
        ],
        rows=rows,
        note=(
            "The slope is the least-squares change of the score, in percentage points, with each doubling of the "
            "number of trajectories, of each question and seed by itself and then averaged."
            + ("" if complete else " It is over the numbers that were run.")
            + (f" {POOLED.capitalize()} is without {', '.join(left_out)}." if left_out else "")
        ),
    )


def left_out_by_style(registry: Registry, styles: Sequence[str], shown: Sequence[str]) -> dict[str, list[str]]:
    """By style, the benchmarks of `shown` that the claim of this figure keeps from deciding."""
    tests = [claim.test for claim in registry.claims if claim.exhibit == "fig8"]
    named = {
        name: benchmarks for test in tests if isinstance(test, Trend) for name, benchmarks in test.left_out.items()
    }
    return {style: [place for place in shown if place in named.get(PREFIX + style, [])] for style in styles}


def _enough(solutions: Solutions, evaluations: pl.DataFrame, questions: pl.DataFrame, series: Series) -> list[bool]:
    """For each dose whether more than half of the training questions of the families asked here have so many.

    If none of these families is trained on, that of all training questions.

    Raises:
        DataError: `questions` lacks one that was evaluated.
    """
    asked = evaluations.select(id="question_id").unique()
    families = asked.join(questions.unique("id"), on="id", how="left")["family"]
    if families.has_nulls():
        lacking = asked.join(questions, on="id", how="anti")["id"].sort()
        raise DataError(f"--questions lack {lacking[0]!r}, which was evaluated; give the benchmarks' questions too")
    same = solutions.filter(pl.col("family").is_in(families.unique().implode()))
    return [share_with(solutions if same.is_empty() else same, dose) > 0.5 for dose in series.doses]


def _describe(
    styles: Sequence[str], series: Mapping[str, Series], scores: Scores, metrics: Sequence[str], shown: Sequence[str]
) -> str:
    parts = []
    for style, place in ((style, place) for style in styles for place in shown[-1:]):
        for metric in metrics:
            known = [
                (dose, score.mean)
                for model, dose in zip(series[style].models, series[style].doses, strict=True)
                if (score := scores.get((model, place, metric)))
            ]
            if known:
                said = ", ".join(f"{percent(mean)} at {dose:g}" for dose, mean in known)
                parts.append(f"SFT on {style} trajectories, {metric} ({place}): {said}.")
    if not parts:
        return "Empty: no model of this sweep was evaluated at this scale."
    return (
        "A row of panels for each source of trajectories, a panel for each benchmark: scores in per cent against the "
        f"number of different trajectories a question, on a logarithmic axis. {' '.join(parts)}"
    )


def _what_was_done(job: Job, styles: Sequence[str], shown: Sequence[str], swept: pl.DataFrame) -> list[str]:
    samples = " or ".join(str(n) for n in sorted(swept["n"].unique())) or "no"
    often = " and ".join(
        f"{'once for each correct trajectory' if times is None else f'{times} times'} ({style})"
        for style, times in {style: job.sft[style].exposures_per_question for style in styles}.items()
    )
    return [
        "Of each question's correct trajectories m different ones were kept and repeated, so that every question is "
        f"trained on equally often whatever m is: {often}. Everything else is the same for all m.",
        f"Each model answered the held-out questions of {listed(shown)} with {samples} samples a question.",
        f"Intervals ({job.evaluation.confidence:.0%}) are from {job.evaluation.bootstrap_resamples:,} bootstrap "
        f"resamples of questions with all their samples{seed_spread(swept['seed'].n_unique())}.",
    ]


def _deviations(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        "The paper's questions have dozens of different solutions, sampled from a large model. Here a question that "
        "has fewer than m different ones repeats what it has: the last table counts them. On such questions a larger "
        "m changes nothing, which draws the slope towards 0.",
        *(
            f"For SFT on {style} trajectories {', '.join(names)} decides nothing and is not in the pooled score: its "
            "training questions have one such solution each, so that the models saw the same whatever m is."
            for style, names in left_out.items()
            if names
        ),
        "The paper plots scores without intervals; seeds, intervals, the pooled score and the slope are additions.",
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
