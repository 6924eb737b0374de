"""The test `outer_loss`: does each training technique lower the loss of the outer loop (Eq. 8)?"""

from dataclasses import dataclass

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, difference_or_none, in_words, interval_or_none, judge
from raml.claims.evidence import Condition, all_of
from raml.claims.result import Verdict
from raml.claims.sections import OuterLossFalls, TechniqueRun
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

UNIT = "nats per answer token"
SOURCES = ("oracle", "own")
ALL = pl.lit(True)


@dataclass(frozen=True)
class _Fall:
    """How far a loss falls from a technique's start to its model: start less model, paired by seed and question."""

    interval: Interval | None
    questions: int
    seeds: int


@dataclass(frozen=True)
class _Technique:
    """One technique and the rows of `schemas.OuterLoss` that it is judged by."""

    run: TechniqueRun
    table: pl.DataFrame
    evaluations: pl.DataFrame
    bootstrap: Bootstrap

    def rows(self, model: str, source: str) -> pl.DataFrame:
        """Those of `model` after trajectories of `source`."""
        return self.table.filter(pl.col("model") == model, pl.col("source") == source)

    def fall(self, source: str, value: str = "nll", label: str = "all", which: pl.Expr = ALL) -> _Fall:
        """That of `value` after the trajectories of `source` that are meant by `which`, called `label`."""
        start, model = (self.rows(name, source).filter(which) for name in (self.run.start, self.run.model))
        both = start.join(model, on=["seed", "question_id"], how="semi")
        labels = ("outer_loss", self.run.start, self.run.model, source, value, label)
        interval = difference_or_none(paired_cells(start, model, value), self.bootstrap, *labels)
        return _Fall(interval, both["question_id"].n_unique(), both["seed"].n_unique())

    def means(self, value: str) -> dict[str, object]:
        """That of `value` for both models, after trajectories of the technique's own source."""
        labels = ("outer_loss", self.run.source, value)
        return {
            name: as_json(
                interval_or_none(
                    cells(self.rows(model, self.run.source), value), self.bootstrap, *labels, model, lowest=0
                )
            )
            for name, model in (("start", self.run.start), ("model", self.run.model))
        }


def decide(test: OuterLossFalls, losses: pl.DataFrame, evaluations: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by how far the NLL after trajectories falls from the model that each technique starts from to its own.

    Means over a question's trajectories are paired by seed and question. Written trajectories are the same for both
    models; own ones are each model's, right or wrong, so that writing better trajectories counts as much as making
    more of them. Own ones that the limit of tokens cut off are not read: where models differ in how many those are,
    what is compared is a different selection of each, so the reason gives both shares. Every technique has to lower
    the loss; one that is contradicted contradicts the claim, and shown is the one with the worst verdict, at equal
    verdicts the smallest fall. The reason says what the same training does to the loss without a trajectory, and names
    benchmarks on which a technique by itself falls short of the line. The other source, and own trajectories by whether
    they are right, are in the details.

    Args:
        test: the techniques, the kinds of benchmarks and where the line lies.
        losses: rows of `schemas.OuterLoss`, all models and seeds.
        evaluations: rows of `schemas.Evaluation` of the samples that own trajectories are the first of.
        bootstrap: how intervals are made.
    """
    table = losses.filter(pl.col("kind").is_in(test.kinds))
    present = {(str(model), str(source)) for model, source in table.select("model", "source").unique().iter_rows()}
    needed = {(model, run.source): None for run in test.techniques for model in (run.model, run.start)}
    if absent := [f"{model} ({source})" for model, source in needed if (model, source) not in present]:
        reason = f"this scale has no outer loss of {' and '.join(absent)} on benchmarks of kind {test.kinds}"
        return Decision("not_run", reason, None, UNIT, {}, {})
    judged: list[tuple[Verdict, float, _Fall]] = []
    reasons: list[str] = []
    details: list[dict[str, object]] = []
    for run in test.techniques:
        technique = _Technique(run, table, evaluations, bootstrap)
        fall = technique.fall(run.source)
        verdict, reason = judge(fall.interval, "above", test.minimal_effect, fall.questions, test.min_questions)
        judged.append((verdict, fall.interval.estimate if fall.interval else 0.0, fall))
        of_technique, clauses = _details(technique, fall, verdict, test)
        reasons += [f"{run.technique} ({run.start} to {run.model}): fall {reason}", *clauses]
        details.append(of_technique)
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    models = {name for run in test.techniques for name in (run.model, run.start)}
    n = {
        "questions": min(fall.questions for _, _, fall in judged),
        "trajectories": table.filter(pl.col("model").is_in(models)).height,
        "seeds": min(fall.seeds for _, _, fall in judged),
    }
    everything: dict[str, object] = {"minimal_effect": test.minimal_effect, "techniques": details}
    evidence = all_of(
        [
            Condition(fall.interval, found, "above", test.minimal_effect, fall.questions, test.min_questions)
            for found, _, fall in judged
        ]
    )
    return Decision(verdict, "; ".join(reasons), shown.interval, UNIT, n, everything, evidence)


def _details(
    technique: _Technique, fall: _Fall, verdict: Verdict, test: OuterLossFalls
) -> tuple[dict[str, object], list[str]]:
    """The details of one technique, and the clauses of the reason that follow its verdict."""
    run, line = technique.run, test.minimal_effect
    start, model = (technique.rows(name, run.source) for name in (run.start, run.model))
    without = technique.fall(run.source, "nll_without").interval
    clauses = [f"without a trajectory {in_words(without)}"] if without else []
    cut = {
        place: cut_off(technique.evaluations, name, technique.table["benchmark"])
        for place, name in (("start", run.start), ("model", run.model))
    }
    if run.source == "own":
        left_out = " and ".join("unknown" if share is None else f"{share:.1%}" for share in cut.values())
        clauses.append(f"of the samples of {run.start} and {run.model} {left_out} are cut off and left out")
    benchmarks: dict[str, object] = {}
    for benchmark in sorted(set(start["benchmark"]) & set(model["benchmark"])):
        on_it = technique.fall(run.source, label=benchmark, which=pl.col("benchmark") == benchmark)
        benchmarks[benchmark] = {
            "fall": as_json(on_it.interval),
            "questions": on_it.questions,
            "verdict": judge(on_it.interval, "above", line, on_it.questions, test.min_questions)[0],
        }
        if on_it.interval and verdict != "contradicted" and on_it.interval.upper < line:
            clauses.append(f"{benchmark} by itself: {in_words(on_it.interval)} lies below {line:+g}")
    kinds = {"correct": pl.col("correct"), "incorrect": ~pl.col("correct")}
    details: dict[str, object] = {
        **run.model_dump(),
        "verdict": verdict,
        "fall": as_json(fall.interval),
        "questions": fall.questions,
        "fall_without_a_trajectory": as_json(without),
        "nll": technique.means("nll"),
        "nll_without_a_trajectory": technique.means("nll_without"),
        "share_of_samples_cut_off": cut,
        "share_of_correct_trajectories": {"start": _share(start), "model": _share(model)},
        "fall_by_source": {source: as_json(technique.fall(source).interval) for source in SOURCES},
        "fall_after_own_trajectories_that_are": {
            name: as_json(technique.fall("own", label=name, which=which).interval) for name, which in kinds.items()
        },
        "benchmarks": benchmarks,
    }
    return details, clauses


def cut_off(evaluations: pl.DataFrame, model: str, benchmarks: pl.Series) -> float | None:
    """The share of a model's samples on `benchmarks` that did not end within the limit of tokens; None without any.

    Args:
        evaluations: rows of `schemas.Evaluation`.
        model: whose samples.
        benchmarks: their names, in any number.
    """
    rows = evaluations.filter(pl.col("model") == model, pl.col("benchmark").is_in(benchmarks.unique().implode()))
    return 1 - int(rows["finished"].sum()) / int(rows["n"].sum()) if rows.height else None


def _share(rows: pl.DataFrame) -> float:
    """The share of correct trajectories."""
    return float(rows["correct"].to_numpy().mean())
