"""Answers of one model after what is kept of its trajectories, decoded and judged (Figure 11)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.answers import judge
from raml.config import Efficiency
from raml.questions.family import stable_seed
from raml.questions.verify import verify
from raml.trajectories.budgets import end_ids, forced_prompt, thinking_ids
from raml.trajectories.engine import Request
from raml.trajectories.shards import ShardedEngine

Row = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """What an answer to `question` is to follow: `ids` in place of the thinking of `trajectory`; rows of schemas."""

    trajectory: Row
    question: Row
    ids: Sequence[int]
    leaked: bool = False


@dataclass(frozen=True)
class Answering:
    """A model that answers, in its engine, which samples as when it wrote the trajectories."""

    writer: str
    engine: ShardedEngine
    tokenizer: PreTrainedTokenizerBase
    settings: Efficiency
    seed: int
    judged: dict[tuple[str, str], bool] = field(default_factory=dict)  # by question and text, since answers repeat

    def own(self, trajectory: Row, question: Row, method: str, variant: int = 0) -> Row:
        """The row of `schemas.ForcedAnswer` of a trajectory that keeps its own answer."""
        thinking = len(thinking_ids(trajectory))
        after = trajectory["n_tokens"] - thinking
        return self._row(trajectory, question, method, variant, (thinking, after), trajectory["correct"])

    def forced(self, kept: Sequence[Kept], method: str, variant: int = 0) -> list[Row]:
        """An answer after each of `kept`, as rows of `schemas.ForcedAnswer`, in order; leaked ones have none.

        End of thinking and answer marker are forced, of method `no_thinking` the end of thinking alone: then the model
        may write as much as when it was sampled. The randomness of an answer depends on the seed, method, variant,
        question and sample alone.
        """
        marker = method != "no_thinking"
        forced = end_ids(self.tokenizer, self.settings.end_of_thinking, marker=marker)
        requests = [
            Request(
                one.question["id"],
                forced_prompt(one.trajectory["prompt_ids"], one.ids, forced),
                one.trajectory["sample"],
            )
            for one in kept
            if not one.leaked
        ]
        limit = self.settings.answer_tokens if marker else None
        seed = stable_seed(self.seed, "efficiency", method, variant)
        label = f"{self.writer}, {method} {variant}"
        completions = iter(self.engine.sample(requests, seed, label, max_tokens=limit))
        rows = []
        for one in kept:
            if one.leaked:
                rows.append(self._row(one.trajectory, one.question, method, variant, (len(one.ids), 0), None))
                continue
            ids = [*forced, *next(completions).token_ids]
            tokens, correct = (len(one.ids), len(ids)), self._judge(one.question, ids)
            rows.append(self._row(one.trajectory, one.question, method, variant, tokens, correct))
        return rows

    def _judge(self, question: Row, ids: list[int]) -> bool:
        """Whether an answer is right, judged as samples are."""
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        key = (question["id"], text)
        if key not in self.judged:
            self.judged[key] = judge(
                text, question["answer"], answer_type=question["answer_type"], verify=partial(verify, question)
            ).correct
        return self.judged[key]

    def _row(
        self,
        trajectory: Row,
        question: Row,
        method: str,
        variant: int,
        tokens: tuple[int, int],
        correct: bool | None,
    ) -> Row:
        """A row: `tokens` of the thinking and after it; `correct` is None where nothing was answered."""
        return {
            "model": self.writer,
            "seed": self.seed,
            "benchmark": question["split"],
            "kind": question["kind"],
            "question_id": question["id"],
            "sample": trajectory["sample"],
            "method": method,
            "variant": variant,
            "thinking_tokens": tokens[0],
            "answer_tokens": tokens[1],
            "leaked": correct is None,
            "correct": correct,
        }
