"""Parts of a sampled trajectory's thinking, and the prompts that force an answer after them: token ids in and out.

    thinking   t_1 .. t_T                what the model wrote before the end of its thinking
    budget     t_1 .. t_B                then the end of the thinking and the answer marker are forced
    control    t_(T-n+1) .. t_T          the last steps, in as many tokens as a summary has

No thinking is sampled here, so that an answer costs the tokens after what it follows and no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.answers.format import MARKER


def thinking_ids(trajectory: Mapping[str, Any]) -> list[int]:
    """The ids of the thinking of a row of `schemas.Trajectory`, its end left out."""
    return list(trajectory["token_ids"][trajectory["thinking_start"] : trajectory["thinking_end"]])


def ends_within(trajectory: Mapping[str, Any], budget: int) -> bool:
    """Whether a row of `schemas.Trajectory` came to its own answer after at most `budget` tokens of thinking.

    A budget changes nothing of such a trajectory.
    """
    return trajectory["answer_start"] is not None and len(thinking_ids(trajectory)) <= budget


def last_tokens(ids: Sequence[int], n: int) -> list[int]:
    """The last `n` of `ids`, all of them if they are no more."""
    return list(ids[max(len(ids) - n, 0) :])


def end_ids(tokenizer: PreTrainedTokenizerBase, end_of_thinking: str, *, marker: bool) -> list[int]:
    """The ids of `end_of_thinking`, with the answer marker after it if so asked.

    They are tokenised by themselves, as the probes' are, so that the same ids follow whatever was kept.
    """
    return list(tokenizer.encode(end_of_thinking + (MARKER if marker else ""), add_special_tokens=False))


def forced_prompt(prompt_ids: Sequence[int], kept: Sequence[int], forced: Sequence[int]) -> tuple[int, ...]:
    """Question, what is kept of the thinking, and what is forced after it: the model goes on from there."""
    return (*prompt_ids, *kept, *forced)
