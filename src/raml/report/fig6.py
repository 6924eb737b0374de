"""Figure 6: how much the answer NLL changes at tokens of different roles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from raml.claims.by_benchmark import benchmark_effects
from raml.claims.decision import interval_or_none
from raml.claims.role_change import RoleSummary, role_summaries, superiority
from raml.config import Evaluation, Probing, Section
from raml.config.reading import read_yaml
from raml.errors import ConfigError, DataError
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.probing.roles import LONGEST_PHRASE, OTHER, PERMUTATIONS, SUMMARIES, TRIM
from raml.report.curves_exhibit import model_name, what_was_followed
from raml.report.exhibit import NONE, Cell, Column, Exhibit, Row, Table, interval_cell, read_sources, write_exhibit
from raml.report.fig6_figure import RoleRow, draw_roles
from raml.report.numbers import count, number, seed_spread
from raml.report.svg import drawing, write_svg
from raml.schemas import TokenChange
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["reported"],
    "many": ["changes"],
    "outputs": ["figure", "exhibit"],
}
TITLE: Final = "Figure 6: change of the answer NLL at tokens of different roles"
ALL: Final = "all tokens"
REFLECTION: Final = "reflection"
REPORTED_WORDS: Final = ("Wait", "Alternatively", "Hold on")
"""Those of the paper's words that it counts as reflection."""
WORDS: Final = 6
"""Reflection words drawn, the most frequent ones beside those that the paper names."""


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    probing: Probing
    token_roles: dict[str, list[str]]


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: an input cannot be read, or was made at another scale.
    """
    job, files, evaluation = step.config, step.files, step.config.evaluation
    sources = read_sources(step.lists["changes"], step.scale)
    model = job.probing.models[0]
    changes = pl.concat([read_table(path, TokenChange) for path in step.lists["changes"]]).filter(model=model)
    reported = read_reported(files["reported"])
    bootstrap = Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence)
    rows = role_rows(changes, list(job.token_roles), reported, bootstrap)
    description = _describe(rows, model)
    with drawing():
        figure = draw_roles(rows, model=model_name(model), confidence=evaluation.confidence)
        write_svg(figure, files["figure"], name="fig6", title=TITLE, description=description)
    exhibit = Exhibit(
        id="fig6",
        title=TITLE,
        lead="Do words of reflection move the answer more than other tokens, as larger steps of the inner loop would?",
        scale=step.scale,
        description=description,
        caption=(
            "What tokens of each role, and below them single reflection words, do to the answer NLL; in brackets their "
            "number. Left: averages of the relative change over all tokens of a role, and the means that the paper "
            "reports. Middle: the probability that the relative change at such a token is larger than at another "
            "token of the same trajectory; at 0.5 there is no difference. Right: the signed change, at the token and "
            "at the one after it."
        ),
        done=_what_was_done(job, model, changes["seed"].n_unique()),
        deviations=_deviations(model),
        n=[
            ("questions", changes["question_id"].n_unique()),
            ("trajectories", changes.select("seed", "trajectory_id").n_unique()),
            ("training seeds", changes["seed"].n_unique()),
            ("tokens", changes.height),
            ("tokens with an undefined relative change", changes["relative_change"].null_count()),
        ],
        tables=[*_averages_table(rows), *_effects_table(rows, bootstrap), *_benchmarks_table(changes, bootstrap)],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def read_reported(path: Path) -> dict[str, float]:
    """`figure6` of the numbers that the paper reports: mean relative changes by word, and `avg` of all tokens.

    Raises:
        DataError: the file cannot be read or lacks them.
    """
    try:
        numbers = read_yaml(path)["figure6"]
        return {str(word): float(value) for word, value in numbers.items()}
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{path} must hold `figure6`, a number for each word ({problem})") from None


def role_rows(
    changes: pl.DataFrame, roles: Sequence[str], reported: Mapping[str, float], bootstrap: Bootstrap
) -> list[RoleRow]:
    """All tokens, each role, all other tokens, and single reflection words.

    Args:
        changes: rows of `schemas.TokenChange` of one model.
        roles: all that the configuration names; `REFLECTION` is shown first.
        reported: the paper's means, `avg` for all tokens.
        bootstrap: how intervals are made.
    """
    roles = sorted(roles, key=lambda role: (role != REFLECTION, role))
    is_reflection = pl.col("role") == REFLECTION
    found = (
        changes.filter(is_reflection)["token"].value_counts(sort=True).sort("count", "token", descending=[True, False])
    )
    words = list(dict.fromkeys([*REPORTED_WORDS, *found["token"].head(WORDS)])) if REFLECTION in roles else []
    conditions = {ALL: pl.col("position") > 0}
    conditions |= {role: pl.col("role") == role for role in (*roles, OTHER)}
    conditions |= {f"{REFLECTION}: {word}": is_reflection & (pl.col("token") == word) for word in words}
    summaries = role_summaries(changes, conditions, bootstrap)
    shown = [(name, name, reported.get("avg") if name == ALL else None, False) for name in (ALL, *roles, OTHER)]
    shown += [(word, f"{REFLECTION}: {word}", reported.get(word), True) for word in words]
    return [
        RoleRow(label, summaries[name] if summaries[name].tokens else None, value, is_word)
        for label, name, value, is_word in shown
    ]


def _describe(rows: Sequence[RoleRow], model: str) -> str:
    measured = {row.label: row.summary for row in rows if row.summary}
    if ALL not in measured:
        return f"Empty: no trajectories of {model_name(model)} were followed at this scale."
    own = measured.get(REFLECTION)
    text = (
        f"Three panels with {count(len(rows), 'row')}: averages of the relative change of the answer NLL, the "
        f"probability that it is larger than at other tokens, and the signed change."
    )
    if own and own.relative and (everything := measured[ALL].relative):
        text += (
            f" At reflection tokens the relative change has mean {number(own.relative['mean'])} and median "
            f"{number(own.relative['median'])}, at all tokens {number(everything['mean'])} and "
            f"{number(everything['median'])}."
        )
    if own and own.superiority:
        text += f" It is larger than at other tokens with probability {number(0.5 + own.superiority.estimate)}."
    if own and own.signed and own.signed_next:
        text += (
            f" The NLL changes by {number(own.signed.estimate)} nats per token at a reflection token and by "
            f"{number(own.signed_next.estimate)} at the next."
        )
    return text


def _what_was_done(job: Job, model: str, seeds: int) -> list[str]:
    groups = "; ".join(f"{role}: {', '.join(patterns)}" for role, patterns in job.token_roles.items())
    evaluation = job.evaluation
    return [
        *what_was_followed(job.probing, model),
        "At every token i of these trajectories, correct and incorrect ones, the relative change is "
        "|L(i) \N{MINUS SIGN} L(i\N{MINUS SIGN}1)| / L(i\N{MINUS SIGN}1), L being the gold answer's NLL in thinking "
        "mode. Where L(i\N{MINUS SIGN}1) is 0 it is undefined and left out.",
        f"A token has the role of which a regular expression matches its whole text ({groups}; of several the first), "
        f"else the role {OTHER}. Of a phrase that the vocabulary splits (into {LONGEST_PHRASE} tokens at most), the "
        "token that completes it counts.",
        f"Averages pool the tokens of all trajectories; the trimmed mean leaves out {TRIM:.0%} at each end. Each is "
        f"compared with {PERMUTATIONS:,} draws of equally many random tokens of the same trajectories (one-sided p, "
        "not corrected for the number of comparisons).",
        "The probability of superiority is taken in each trajectory that has both kinds of tokens (ties count half), "
        "and averaged over a question's trajectories, then over questions. Signed changes are averaged over the tokens "
        f"of a question, then over questions. Intervals ({evaluation.confidence:.0%}) are from "
        f"{evaluation.bootstrap_resamples:,} bootstrap resamples of questions with all their "
        f"trajectories{seed_spread(seeds)}.",
    ]


def _deviations(model: str) -> list[str]:
    return [
        "The paper's numbers are of a large pretrained model on competition mathematics; here "
        f"{model_name(model)} answers questions of this scale's own benchmarks. They stand beside ours for reference "
        "and are not comparable.",
        "The paper reports means alone. A mean of relative changes is ruled by the few tokens before which the NLL is "
        "tiny; median, trimmed mean, probability of superiority, signed changes and all tests are additions.",
        "The released probe drops points that are exactly 0 and smooths; here nothing is smoothed, and only an "
        "undefined change is left out.",
    ]


def _averages_table(rows: Sequence[RoleRow]) -> list[Table]:
    labels = {"mean": "mean", "median": "median", "trimmed_mean": "trimmed mean"}
    lines = []
    for row in rows:
        summary = row.summary
        relative = summary.relative if summary else None
        p_values = summary.p_values if summary and row.label != ALL else None
        values = [
            Cell(text=number(relative[name]), small=_p(p_values[name]) if p_values else "") if relative else NONE
            for name in SUMMARIES
        ]
        paper = Cell(text=f"{row.reported:g}") if row.reported is not None else NONE
        undefined = Cell(text=f"{summary.undefined:,}") if summary else NONE
        tokens = Cell(text=f"{summary.tokens if summary else 0:,}")
        lines.append(Row(heading=row.label, cells=[tokens, undefined, *values, paper]))
    return [
        Table(
            caption="Relative change of the answer NLL, averages over all tokens of a role",
            corner="role or word",
            columns=[
                Column(heading="tokens"),
                Column(heading="undefined"),
                *(Column(heading=labels[name], group="relative change") for name in SUMMARIES),
                Column(heading="mean in the paper", reported=True),
            ],
            rows=lines,
            note=(
                "p: the share of random draws of equally many tokens of the same trajectories whose average is at "
                "least as large."
            ),
        )
    ]


def _effects_table(rows: Sequence[RoleRow], bootstrap: Bootstrap) -> list[Table]:
    lines = [_effects(row.label, row.summary) for row in rows if row.summary]
    if not lines:
        return []
    headings = ("probability of superiority", "at the token", "at the next token", "median at the token")
    groups = ("", *["signed change (nats per answer token)"] * 3)
    return [
        Table(
            caption=f"Changes against other tokens, and their direction, with {bootstrap.confidence:.0%} intervals",
            corner="role or word",
            columns=[
                Column(heading="trajectories"),
                *(Column(heading=heading, group=group) for heading, group in zip(headings, groups, strict=True)),
            ],
            rows=lines,
            note="Means over questions, except for the median, which is over all tokens of the role.",
        )
    ]


def _effects(label: str, summary: RoleSummary) -> Row:
    median = Cell(text=number(summary.absolute["median"])) if summary.absolute else NONE
    values = [
        interval_cell(_auc(summary.superiority)),
        interval_cell(summary.signed),
        interval_cell(summary.signed_next),
        median,
    ]
    return Row(heading=label, cells=[Cell(text=f"{summary.trajectories:,}"), *values])


def _benchmarks_table(changes: pl.DataFrame, bootstrap: Bootstrap) -> list[Table]:
    """The probability of superiority of reflection tokens, by benchmark and by outcome."""
    in_trajectories = superiority(changes, pl.col("role") == REFLECTION)
    if in_trajectories.is_empty():
        return []
    outcomes = changes.select("seed", "model", "trajectory_id", "correct").unique()
    with_outcome = in_trajectories.join(outcomes, on=["seed", "model", "trajectory_id"])
    rows = [
        Row(
            heading=one.benchmark,
            cells=[
                Cell(text=f"{one.questions:,}"),
                Cell(text=f"{one.trajectories:,}"),
                interval_cell(_auc(one.effect)),
            ],
        )
        for one in benchmark_effects(in_trajectories, "superiority", bootstrap, REFLECTION, "superiority")
    ]
    for name, wanted in (("correct", True), ("incorrect", False)):
        of_outcome = with_outcome.filter(correct=wanted)
        effect = interval_or_none(cells(of_outcome, "superiority"), bootstrap, f"{REFLECTION}/{name}", "superiority")
        sizes = [Cell(text=f"{size:,}") for size in (of_outcome["question_id"].n_unique(), of_outcome.height)]
        rows.append(Row(heading=f"{name} trajectories", cells=[*sizes, interval_cell(_auc(effect))]))
    return [
        Table(
            caption=f"Reflection tokens by benchmark and outcome, with {bootstrap.confidence:.0%} intervals",
            corner="benchmark or outcome",
            columns=[
                Column(heading=heading) for heading in ("questions", "trajectories", "probability of superiority")
            ],
            rows=rows,
            note="Trajectories that have both reflection tokens and others.",
        )
    ]


def _auc(effect: Interval | None) -> Interval | None:
    """A probability of superiority from its excess over one half."""
    return effect and Interval(0.5 + effect.estimate, 0.5 + effect.lower, 0.5 + effect.upper).within(0, 1)


def _p(value: float) -> str:
    """A p-value with as many decimals as its permutations allow."""
    return f"p = {value:.2f}" if value >= 0.01 else f"p = {value:.4f}"


if __name__ == "__main__":
    run(main, Job, **FILES)
