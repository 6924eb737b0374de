"""The test `role_change`: do tokens of a role change the answer NLL more than other tokens of the same trajectory?

The relative change has a heavy tail, so the test compares by order: the probability of superiority (AUC) that
the change at a token of the role is larger than at another token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from raml.claims.by_benchmark import benchmark_effects, judge_benchmarks
from raml.claims.decision import Decision, as_json, interval_or_none, judge, one_condition
from raml.claims.sections import RoleChange
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.probing.roles import SUMMARIES, TRAJECTORY, permutation_p_values, summaries


@dataclass(frozen=True)
class RoleSummary:
    """What the tokens of a role do; averages over its tokens pool all trajectories, as the paper's do.

    `signed` is the change L_i - L_(i-1) at the role's tokens in nats per answer token, `signed_next` that at the
    token after each, both averaged over questions.
    """

    tokens: int
    trajectories: int
    undefined: int  # tokens before which the NLL is 0
    superiority: Interval | None  # AUC - 0.5
    relative: dict[str, float] | None  # by `SUMMARIES`
    absolute: dict[str, float] | None  # of the signed change, by `SUMMARIES`
    p_values: dict[str, float] | None
    signed: Interval | None
    signed_next: Interval | None

    def as_details(self) -> dict[str, object]:
        """The summary for `result.ClaimResult.details`."""
        return {
            "tokens": self.tokens,
            "trajectories": self.trajectories,
            "share_undefined": self.undefined / self.tokens if self.tokens else None,
            "auc_less_half": as_json(self.superiority),
            "relative_change": self.relative,
            "permutation_p_values": self.p_values,
            "signed_change": self.absolute,
            "signed_change_by_question": as_json(self.signed),
            "signed_change_at_the_next_token": as_json(self.signed_next),
        }


def superiority(changes: pl.DataFrame, is_role: pl.Expr) -> pl.DataFrame:
    """Probability of superiority of a role's tokens in each trajectory that has both them and others.

    Args:
        changes: rows of `schemas.TokenChange`; undefined relative changes are left out.
        is_role: a condition on these rows, true for the role's tokens.

    Returns:
        One row a trajectory: `seed`, `model`, `trajectory_id`, `question_id`, `benchmark`, and `superiority`: the share
        of pairs of a role's token and another one in which the former's relative change is larger (ties count
        half), less one half.
    """
    ranked = changes.drop_nulls("relative_change").with_columns(
        is_role=is_role, rank=pl.col("relative_change").rank("average").over(TRAJECTORY)
    )
    own = pl.col("is_role").sum().cast(pl.Float64)
    others = pl.len() - own
    won = pl.col("rank").filter("is_role").sum() - own * (own + 1) / 2
    return (
        ranked.group_by(TRAJECTORY, maintain_order=True)
        .agg(
            pl.col("question_id", "benchmark").first(),
            pl.when((own > 0) & (others > 0)).then(won / (own * others) - 0.5).alias("superiority"),
        )
        .drop_nulls("superiority")
    )


def role_summaries(changes: pl.DataFrame, roles: Mapping[str, pl.Expr], bootstrap: Bootstrap) -> dict[str, RoleSummary]:
    """What the tokens of each role do to the NLL.

    Args:
        changes: rows of `schemas.TokenChange` of one model, all seeds.
        roles: by name a condition on these rows.
        bootstrap: how intervals are made; its seed is also that of the permutation test.
    """
    p_values = permutation_p_values(changes, roles, seed=bootstrap.seed)
    signed = pl.col("after") - pl.col("before")
    with_signs = changes.sort(*TRAJECTORY, "position").with_columns(
        signed=signed, signed_next=signed.shift(-1).over(TRAJECTORY)
    )
    found = {}
    for role, condition in roles.items():
        own = with_signs.filter(condition)
        relative, absolute = own["relative_change"].drop_nulls().to_numpy(), own["signed"].to_numpy()
        found[role] = RoleSummary(
            tokens=own.height,
            trajectories=own.select(TRAJECTORY).n_unique(),
            undefined=own["relative_change"].null_count(),
            superiority=_mean(superiority(changes, condition), "superiority", bootstrap, role),
            relative=_by_summary(relative),
            absolute=_by_summary(absolute),
            p_values=p_values.get(role),
            signed=_mean(own, "signed", bootstrap, role),
            signed_next=_mean(own.drop_nulls("signed_next"), "signed_next", bootstrap, role),
        )
    return found


def roles_of(changes: pl.DataFrame) -> dict[str, pl.Expr]:
    """A condition for each role that occurs in `changes`, in alphabetical order."""
    return {role: pl.col("role") == role for role in sorted(changes["role"].unique())}


def decide(test: RoleChange, changes: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the mean over questions of the probability of superiority less one half.

    Args:
        test: which role and where the line lies.
        changes: rows of `schemas.TokenChange` of one model, all seeds, correct and incorrect trajectories.
        bootstrap: how intervals are made.
    """
    rows = superiority(changes, pl.col("role") == test.role)
    n = {
        "questions": rows["question_id"].n_unique(),
        "trajectories": rows.height,
        "seeds": rows["seed"].n_unique(),
        "tokens": changes.filter(role=test.role).height,
    }
    effect = _mean(rows, "superiority", bootstrap, test.role)
    verdict, reason = judge(effect, "above", test.minimal_effect, n["questions"], test.min_questions)
    benchmarks, clauses = judge_benchmarks(
        "auc_less_half",
        benchmark_effects(rows, "superiority", bootstrap, test.role, "superiority"),
        effect,
        "above",
        test.minimal_effect,
        test.min_questions,
    )
    roles = role_summaries(changes, roles_of(changes), bootstrap)
    by_outcome = {}
    for outcome, correct in (("correct", True), ("incorrect", False)):
        of_outcome = superiority(changes.filter(correct=correct), pl.col("role") == test.role)
        by_outcome[outcome] = as_json(_mean(of_outcome, "superiority", bootstrap, f"{test.role}/{outcome}"))
    details: dict[str, object] = {
        "minimal_effect": test.minimal_effect,
        "benchmarks": benchmarks,
        "auc_less_half_by_outcome": by_outcome,
        "roles": {role: summary.as_details() for role, summary in roles.items()},
        "tokens": changes.height,
    }
    reasons = [f"mean AUC less one half {reason}", *clauses]
    evidence = one_condition(effect, verdict, "above", test.minimal_effect, n["questions"], test.min_questions)
    return Decision(verdict, "; ".join(reasons), effect, "AUC less one half", n, details, evidence)


def _mean(rows: pl.DataFrame, value: str, bootstrap: Bootstrap, role: str) -> Interval | None:
    """Mean over questions of `value`, the rows of a question averaged first."""
    return interval_or_none(cells(rows, value), bootstrap, role, value)


def _by_summary(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float] | None:
    """Each of `SUMMARIES` of `values`, None without any."""
    if values.size == 0:
        return None
    return {name: float(value) for name, value in zip(SUMMARIES, summaries(values), strict=True)}
