"""The reward of GRPO's completions (Eq. 21), in the shape in which TRL asks for it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.answers import Judgement, judge
from raml.errors import RamlError
from raml.questions.verify import verify


class Reward:
    """TRL's reward function over whole groups of completions; adds what share of them is right to TRL's metrics."""

    __name__ = "reward"  # what TRL calls it

    def __init__(
        self, questions: Mapping[str, Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, group_size: int
    ) -> None:
        """Judge completions of `questions` (rows of `schemas.Question` by id), `group_size` in a row of each."""
        self.questions = questions
        self.tokenizer = tokenizer
        self.group_size = group_size

    def __call__(
        self,
        *,
        completion_ids: Sequence[Sequence[int]],
        question_id: Sequence[str],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        """One reward for each of `completion_ids`; the keywords are those that TRL calls it with.

        Logged as means over completions: `accuracy`, `formatted`; over groups: `group_accuracy`, the share
        with at least one correct completion.

        Raises:
            RamlError: judging a completion raised.
        """
        judgements = self._judgements(completion_ids, question_id)
        correct = [judgement.correct for judgement in judgements]
        groups = [correct[start : start + self.group_size] for start in range(0, len(correct), self.group_size)]
        log_metric("accuracy", sum(correct) / len(correct))
        log_metric("formatted", sum(judgement.formatted for judgement in judgements) / len(judgements))
        log_metric("group_accuracy", sum(map(any, groups)) / len(groups))
        return [judgement.reward for judgement in judgements]

    def _judgements(self, completion_ids: Sequence[Sequence[int]], question_ids: Sequence[str]) -> list[Judgement]:
        """Judgements, each question and text only once, since completions of a group repeat."""
        found: dict[tuple[str, str], Judgement] = {}
        judgements = []
        for index, (ids, question_id) in enumerate(zip(completion_ids, question_ids, strict=True)):
            text = str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
            if (question_id, text) not in found:
                try:
                    found[question_id, text] = self._judge(self.questions[question_id], text)
                except Exception as error:  # whatever a verifier raises
                    cause = " ".join(f"{type(error).__name__}: {error}".split())
                    sample = index % self.group_size
                    raise RamlError(
                        f"the reward of question {question_id}, sample {sample}, failed: {cause}"
                    ) from error
            judgements.append(found[question_id, text])
        return judgements

    def _judge(self, question: Mapping[str, Any], text: str) -> Judgement:
        return judge(text, question["answer"], answer_type=question["answer_type"], verify=partial(verify, question))
