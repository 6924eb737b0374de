"""Single trajectories, which no effect holds: which ones the figures show, and their curves.

Nothing is averaged here but counts; means and differences are effects.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Tokenizer

from raml.claims.quantities.curves import curve_table
from raml.errors import DataError
from raml.report.exhibit import Reading, Token
from raml.report.landscapes import Rows, Surface, surfaces

Array = NDArray[np.float64]

PANELS: Final = 4
CURVES_PER_PANEL: Final = 4
MODES: Final = ("thinking", "no_thinking")


@dataclass(frozen=True)
class Curve:
    """One trajectory's curve in one mode. `nll[j]`, in nats per answer token, belongs to `position[j]` tokens read."""

    trajectory_id: str
    mode: str
    correct: bool
    length: int
    position: Array
    nll: Array
    token_ids: list[int | None]
    half_fall: float  # the share of the trajectory read when half of the fall is first made

    @property
    def falls(self) -> bool:
        """Whether it ends lower than it starts."""
        return bool(self.nll[-1] < self.nll[0])


@dataclass(frozen=True)
class Panel:
    """A question, and the curves that are shown of it."""

    question_id: str
    prompt: str
    answer: str
    curves: list[Curve]


@dataclass(frozen=True)
class Size:
    """How many trajectories there are, of how many questions and training seeds, and how many points they have."""

    questions: int
    trajectories: int
    seeds: int
    positions: int


class Followed:
    """The trajectories of one model."""

    most_panels = PANELS
    most_curves = CURVES_PER_PANEL

    def __init__(
        self, points: pl.DataFrame, landscape: pl.DataFrame, questions: Rows, tokenizer: Tokenizer, skipped: str = ""
    ) -> None:
        """Take what belongs to the model.

        Args:
            points: rows of `schemas.ProbeCurve`.
            landscape: rows of `schemas.LandscapePoint`.
            questions: rows of `schemas.Question` by id.
            tokenizer: of the model.
            skipped: a sentence on the samples without a curve.
        """
        self.points, self.landscape, self.skipped = points, landscape, skipped
        self._questions, self._tokenizer = questions, tokenizer

    def size(self, outcome: str, modes: Sequence[str] = MODES[:1]) -> Size:
        """Of the trajectories with this outcome that were followed in all of `modes`."""
        table = self._trajectories(outcome, modes)
        numbers = table["question_id"].n_unique(), table.height, table["seed"].n_unique(), int(table["positions"].sum())
        return Size(*numbers)

    def panels(self, outcome: str) -> list[Panel]:
        """A panel a question with several trajectories of one outcome, in thinking mode; none without any.

        Raises:
            DataError: a question is unknown.
        """
        return self._panels(outcome, MODES[:1], CURVES_PER_PANEL)

    def pairs(self) -> list[Panel]:
        """A panel a question with the two curves of its first correct trajectory that was followed in both modes."""
        return self._panels("correct", MODES, 1)

    @cached_property
    def surfaces(self) -> list[Surface]:
        """The landscapes that are shown."""
        if self.landscape.is_empty():
            return []
        first = self.landscape.filter(pl.col("seed") == pl.col("seed").min())
        asked = first["question_id"].unique(maintain_order=True).head(PANELS)
        return surfaces(first.filter(pl.col("question_id").is_in(asked.implode())), self.points, self._questions)

    def readings(self, panels: Sequence[Panel]) -> list[Reading]:
        """The first curve shown, token by token; none where the probe left out tokens."""
        panel = next(iter(panels), None)
        if panel is None or len(panel.curves[0].nll) != panel.curves[0].length + 1:
            return []
        curve = panel.curves[0]
        ids = [token for token in curve.token_ids if token is not None]  # none at position 0
        texts = [self._tokenizer.decode([token], skip_special_tokens=False) for token in ids]
        return [
            Reading(
                heading=f"One {'correct' if curve.correct else 'incorrect'} trajectory as the probe reads it",
                prompt=panel.prompt,
                gold_answer=panel.answer,
                start_nll=curve.nll[0],
                tokens=[Token(text=text, nll=nll) for text, nll in zip(texts, curve.nll[1:], strict=True)],
            )
        ]

    def _trajectories(self, outcome: str, modes: Sequence[str]) -> pl.DataFrame:
        """A row a trajectory."""
        kept = self.points.filter(pl.col("correct") == (outcome == "correct"), pl.col("mode").is_in(modes))
        found = kept.group_by("seed", "trajectory_id", "question_id", "benchmark").agg(
            pl.len().alias("positions"), pl.col("mode").n_unique().alias("modes")
        )
        return found.filter(pl.col("modes") == len(modes))

    def _panels(self, outcome: str, modes: Sequence[str], most: int) -> list[Panel]:
        trajectories = self._trajectories(outcome, modes)
        if trajectories.is_empty():
            return []
        of_seed = self.points.filter(pl.col("seed") == trajectories["seed"].min())
        found = []
        for question, names in choose(trajectories).items():
            asked = question_of(self._questions, question)
            own = of_seed.filter(pl.col("trajectory_id").is_in(names))
            curves = [_curve(own, name, mode) for name in names[:most] for mode in modes]
            found.append(Panel(question, asked["prompt"], asked["answer"], curves))
        return found


def choose(trajectories: pl.DataFrame) -> dict[str, list[str]]:
    """The trajectories to show by question, of the first seed; their curves play no part.

    Those are the first `CURVES_PER_PANEL` by sample number of `PANELS` questions, taken from the benchmarks in turn, by
    id, among the questions that have so many (where there are too few, those with the most).

    Args:
        trajectories: a row each, `seed`, `question_id`, `benchmark`, `trajectory_id`.
    """
    first = trajectories.filter(pl.col("seed") == pl.col("seed").min())
    of_question: dict[tuple[str, str], list[str]] = defaultdict(list)
    for question, benchmark, name in first.select("question_id", "benchmark", "trajectory_id").iter_rows():
        of_question[question, benchmark].append(name)
    kept = {key: sorted(names, key=sample_order)[:CURVES_PER_PANEL] for key, names in of_question.items()}
    turns: Counter[str] = Counter()  # questions of a benchmark ranked so far
    ranked = []
    for question, benchmark in sorted(kept, key=lambda key: (-len(kept[key]), key)):
        ranked.append((-len(kept[question, benchmark]), turns[benchmark], question, benchmark))
        turns[benchmark] += 1
    shown = sorted((question, benchmark) for *_, question, benchmark in sorted(ranked)[:PANELS])
    return {key[0]: kept[key] for key in shown}


def sample_order(trajectory_id: str) -> tuple[int, str]:
    """Sort key by the sample number at the id's end: 2 comes before 10."""
    last = trajectory_id.rsplit("/", 1)[-1]
    return (int(last) if last.isdigit() else 0, trajectory_id)


def question_of(questions: Rows, identity: str) -> Mapping[str, Any]:
    """The row of this question.

    Raises:
        DataError: there is none.
    """
    if identity not in questions:
        raise DataError(
            f"the curves follow question {identity!r}, which --questions lacks; rebuild probes and questions"
        )
    return questions[identity]


def _curve(points: pl.DataFrame, name: str, mode: str) -> Curve:
    own = points.filter(pl.col("trajectory_id") == name, pl.col("mode") == mode).sort("position")
    return Curve(
        trajectory_id=name,
        mode=mode,
        correct=own["correct"][0],
        length=own["length"][0],
        position=own["position"].cast(pl.Float64).to_numpy(),
        nll=own["nll"].cast(pl.Float64).to_numpy(),
        token_ids=own["token_id"].to_list(),
        half_fall=curve_table(own)["half_fall"][0],
    )
