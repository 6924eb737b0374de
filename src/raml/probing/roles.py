"""What each trajectory token did to the gold answer's NLL, by the token's role (Figure 6).

The paper's quantity is the relative change |L_i - L_(i-1)| / L_(i-1) at token i. It is undefined where the
NLL before the token is exactly 0 and huge where it is tiny, so nobody should trust its mean alone: claims go by
order (`raml.quantities.roles`), and median and trimmed mean stand beside it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Tokenizer

from raml.config import Probing, Section
from raml.errors import ConfigError, DataError
from raml.schemas import ProbeCurve, TokenChange
from raml.step import Step, run
from raml.storage import read_provenance, read_table, write_table

OTHER: Final = "other"
TRAJECTORY: Final = ("seed", "model", "trajectory_id")
LONGEST_PHRASE: Final = 6
"""Tokens of the longest phrase that a role's expressions are tried on."""
SUMMARIES: Final = ("mean", "median", "trimmed_mean")
TRIM: Final = 0.2
"""Share of the values that a trimmed mean leaves out at each end."""

Decode = Callable[[Sequence[int]], str]
Groups = Mapping[str, Sequence[str]]
Values = NDArray[np.float64]


class Job(Section):
    """The sections that token roles depend on."""

    token_roles: dict[str, list[str]]
    probing: Probing


def main(step: Step[Job]) -> None:
    """Write one row for each token of each trajectory of the main probed model."""
    model = step.config.probing.models[0]
    curves = read_table(step.files["curves"], ProbeCurve).filter(model=model)
    tokenizer = load_tokenizer(step.files["tokenizer"])

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    changes = token_changes(curves, step.config.token_roles, decode)
    sizes = dict(changes["role"].value_counts(sort=True).iter_rows())
    undefined = changes["relative_change"].null_count()
    print(f"tokens by role: {sizes}; relative change undefined (the NLL before is 0) at {undefined}")
    model_hash = read_provenance(step.files["curves"]).model_hash
    write_table(changes, TokenChange, step.files["out"], step.provenance(model_hash=model_hash))


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`.

    Raises:
        DataError: it is none.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise DataError(f"{path} is not a tokenizer file ({' '.join(str(error).split())})") from None


def token_changes(curves: pl.DataFrame, groups: Groups, decode: Decode) -> pl.DataFrame:
    """The change of the NLL at every token of the thinking-mode curves.

    Args:
        curves: rows of `schemas.ProbeCurve`, every token probed; other modes are left out.
        groups: regular expressions by role, see `assign_roles`.
        decode: the text of some ids, special tokens kept.

    Returns:
        Rows of `schemas.TokenChange`, in order of seed, trajectory and position.

    Raises:
        DataError: a curve that skips positions.
        ConfigError: as in `assign_roles`.
    """
    thinking = curves.filter(pl.col("mode") == "thinking").sort(*TRAJECTORY, "position")
    points = thinking.group_by(TRAJECTORY).agg(pl.len(), pl.col("position").max(), pl.col("length").first())
    strided = points.filter((pl.col("len") != pl.col("length") + 1) | (pl.col("position") != pl.col("length")))
    if not strided.is_empty():
        raise DataError(
            f"token roles need every token probed, but the curve of {strided['trajectory_id'][0]} skips some; "
            "set probing.stride = 1 and probe again"
        )
    before = thinking.with_columns(before=pl.col("nll").shift(1).over(TRAJECTORY), after="nll")
    changes = before.filter(pl.col("position") > 0)
    changed = (pl.col("after") - pl.col("before")).abs()
    patterns = compile_groups(groups)
    texts: list[str] = []
    roles: list[str] = []
    for ids in changes.group_by(TRAJECTORY, maintain_order=True).agg("token_id")["token_id"]:
        for text, role in assign_roles(ids.to_list(), patterns, decode):
            texts.append(text)
            roles.append(role)
    table = changes.with_columns(
        pl.Series("token", texts, dtype=pl.String),
        pl.Series("role", roles, dtype=pl.String),
        relative_change=pl.when(pl.col("before") > 0).then(changed / pl.col("before")),
    )
    return TokenChange.cast(table.select(TokenChange.column_names()))


def compile_groups(groups: Groups) -> dict[str, list[re.Pattern[str]]]:
    """The groups' expressions, compiled, in alphabetical order of their names.

    Not in the order of the configuration: that is lost on the way to a job, whose configuration has sorted keys.

    Raises:
        ConfigError: an expression is not valid, or a group is called `other`.
    """
    if OTHER in groups:
        raise ConfigError(f"token_roles.{OTHER}: this name is kept for tokens without a role; choose another")
    compiled: dict[str, list[re.Pattern[str]]] = {}
    for role, expressions in sorted(groups.items()):
        try:
            compiled[role] = [re.compile(expression) for expression in expressions]
        except re.error as error:
            raise ConfigError(f"token_roles.{role}: not a regular expression: {error}") from None
    return compiled


def assign_roles(
    token_ids: Sequence[int], groups: Mapping[str, Sequence[re.Pattern[str]]], decode: Decode
) -> list[tuple[str, str]]:
    """Text and role of each token.

    A token has the first role of which an expression matches its whole text, blanks around it removed; the
    expressions of different roles had better not overlap. A vocabulary may split what an expression names into
    several tokens (`Hold` and ` on`): the token that completes such a phrase has its role, because only from there
    on has the model read it; those before it have the role that they have by themselves. Phrases are at most
    `LONGEST_PHRASE` tokens long. What stands around a token is not looked at, so the first part of `Wait|ing` counts
    as `Wait`.

    Args:
        token_ids: a trajectory.
        groups: expressions from `compile_groups`; earlier roles and then shorter phrases come first.
        decode: the text of some ids, special tokens kept.

    Returns:
        For each token its text (of a phrase's last token the whole phrase) and its role or `OTHER`.
    """
    alone = [decode([token]) for token in token_ids]
    named: list[tuple[str, str]] = []
    for end, text in enumerate(alone, 1):
        found = (text.strip() or text, OTHER)
        if text.strip():
            starts = range(end - 1, max(0, end - LONGEST_PHRASE) - 1, -1)
            phrases = [decode(token_ids[start:end]).strip() for start in starts if alone[start].strip()]
            matches = (
                (phrase, role)
                for role, patterns in groups.items()
                for phrase in phrases
                if any(pattern.fullmatch(phrase) for pattern in patterns)
            )
            found = next(matches, found)
        named.append(found)
    return named


def summaries(values: Values) -> Values:
    """Mean, median and trimmed mean over the last axis of `values` [..., n >= 1], shape [3, ...].

    The trimmed mean leaves out the lowest and the highest `TRIM` of the values (rounded down).
    """
    n = values.shape[-1]
    cut = int(TRIM * n)
    ordered = np.sort(values, axis=-1)
    median = (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2
    return np.stack([values.mean(axis=-1), median, ordered[..., cut : n - cut].mean(axis=-1)])


if __name__ == "__main__":
    run(main, Job, inputs=["curves", "tokenizer"], outputs=["out"])
