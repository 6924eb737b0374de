"""Trajectories made ready for the viewer: the text that each token adds, and the answer NLL in each mode.

Symbols: T tokens of a trajectory, n of its positions probed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from raml.errors import DataError
from raml.schemas import ProbeCurve, Trajectory
from raml.storage import read_table

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class FollowedSample:
    """A sampled trajectory and its curves."""

    question: str
    sample: int
    correct: bool
    token_ids: Sequence[int]  # [T]
    positions: Sequence[int]  # [n], ascending from 0
    nll: dict[str, Array]  # mode: [n], nats per answer token


def read_followed(curves: Path, samples: Path) -> Iterator[FollowedSample]:
    """The trajectories that `curves` follows, by question and sample.

    Raises:
        DataError: a file cannot be read or breaks its schema (an NLL that is not finite does), or the two do not belong
            together.
    """
    table = read_table(curves, ProbeCurve)
    ids = thinking_ids(samples)
    points = table.with_columns(
        pl.col("trajectory_id").str.split("/").list.last().cast(pl.Int32).alias("sample"),
        pl.col("mode").cast(pl.String),
    ).sort("question_id", "sample", "mode", "position")
    for (question, sample), rows in points.group_by("question_id", "sample", maintain_order=True):
        token_ids = ids.get((str(question), int(sample)))
        if token_ids is None or len(token_ids) != rows["length"][0]:
            raise DataError(
                f"{curves} follows sample {sample} of question {question!r}, which {samples} does not have as it was "
                "followed; the curves are stale: probe again"
            )
        modes = {str(mode[0]): of_mode for mode, of_mode in rows.group_by("mode", maintain_order=True)}
        positions = next(iter(modes.values()))["position"].to_list()
        if any(of_mode["position"].to_list() != positions for of_mode in modes.values()):
            raise DataError(f"{curves}: modes probe other positions of sample {sample} of {question!r}; probe again")
        yield FollowedSample(
            question=str(question),
            sample=int(sample),
            correct=bool(rows["correct"][0]),
            token_ids=token_ids,
            positions=positions,
            nll={mode: of_mode["nll"].to_numpy() for mode, of_mode in modes.items()},
        )


def thinking_ids(samples: Path) -> dict[tuple[str, int], list[int]]:
    """The tokens of each sample's thinking, by question and sample.

    Raises:
        DataError: the file cannot be read.
    """
    table = read_table(samples, Trajectory)
    start, end = pl.col("thinking_start"), pl.col("thinking_end")
    kept = table.select("question_id", "sample", thinking=pl.col("token_ids").list.slice(start, end - start))
    return {(question, sample): list(ids) for question, sample, ids in kept.iter_rows()}


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The text that each of T tokens adds to those before.

    Of several tokens of one character (byte-level vocabularies) the first shows it and the others add nothing.
    """
    stream = DecodeStream(skip_special_tokens=False)
    added: list[str] = []
    open_since: int | None = None
    for place, token in enumerate(ids):
        text = stream.step(tokenizer, token) or ""
        added.append("")
        if not text:
            open_since = place if open_since is None else open_since
            continue
        added[place if open_since is None else open_since] = text
        open_since = None
    return added
