"""From the token ids of a completion to a row of `schemas.Trajectory`: spans, text, judgement.

Oracle programs and models go through the same function, so the same verifier judges both.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import accumulate
from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.answers import Judgement, judge
from raml.answers.format import MARKER_PATTERN, THINK_END
from raml.errors import DataError
from raml.questions.verify import verify
from raml.trajectories.engine import Origin

_BRACE = re.compile("[{}]")


def trajectory_row(
    question: Mapping[str, Any],
    writer: str,
    sample: int,
    seed: int,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    loss_mask: Sequence[bool] | None,
    tokenizer: PreTrainedTokenizerBase,
    origin: Origin,
    judgements: dict[str, Judgement] | None = None,
) -> dict[str, Any]:
    """The completion `token_ids` of `question` as a row of `schemas.Trajectory`.

    Args:
        question: a row of `schemas.Question`.
        writer: who wrote the completion: a model's or an oracle's name.
        sample: number of the completion among the writer's completions of this question.
        seed: seed that it was written with.
        prompt_ids: what the writer was given.
        token_ids: thinking, `</think>`, answer marker, answer, `}`, end of text, as far as it got.
        loss_mask: false on tokens that training must not imitate; None: imitate all.
        tokenizer: of the token ids.
        origin: what made the completion.
        judgements: judgements of this question by text; looked up and added to, since samples repeat.

    Raises:
        DataError: the completion is empty.
    """
    ids = list(token_ids)
    if not ids:
        raise DataError(f"sample {sample} of {question['id']} by {writer} is empty; at least one token is needed")
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    judgements = {} if judgements is None else judgements
    if text not in judgements:
        judgements[text] = judge(
            text, question["answer"], answer_type=question["answer_type"], verify=partial(verify, question)
        )
    judgement = judgements[text]
    thinking_end, answer = spans(ids, tokenizer)
    return {
        "question_id": question["id"],
        "writer": writer,
        "sample": sample,
        "seed": seed,
        **origin.columns(),
        "prompt_ids": list(prompt_ids),
        "token_ids": ids,
        "loss_mask": [True] * len(ids) if loss_mask is None else list(loss_mask),
        "text": text,
        "thinking_start": 0,
        "thinking_end": thinking_end,
        "answer_start": answer[0] if answer else None,
        "answer_end": answer[1] if answer else None,
        "finished": ids[-1] == tokenizer.eos_token_id,
        "correct": judgement.correct,
        "formatted": judgement.formatted,
        "reward": judgement.reward,
        "n_tokens": len(ids),
    }


def spans(token_ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> tuple[int, tuple[int, int] | None]:
    """Where the thinking ends, and the answer's half-open span between the last marker and its closing brace.

    Without `</think>` the thinking ends at the marker, and without either at the last token. There is
    no answer span without a marker after the thinking or without the closing brace.

    Both are looked for in the text, since vocabularies merge their edges with what stands beside them (`.\\n\\n`). A
    token across the thinking's end belongs to the thinking, one across a brace to the answer.
    """
    pieces = [_piece(tokenizer, token) for token in token_ids]
    text = "".join(pieces)
    ends = list(accumulate(map(len, pieces)))
    starts = [0, *ends[:-1]]
    marker = next(reversed(list(MARKER_PATTERN.finditer(text))), None)
    thinking_end = text.find(THINK_END)
    if thinking_end < 0:
        thinking_end = len(text[: marker.start()].rstrip()) if marker else len(text)
    first_after = bisect_left(starts, thinking_end)
    if marker is None or marker.start() < thinking_end:
        return first_after, None
    opened = marker.end()
    closed = _closing_brace(text, opened)
    if closed is None:
        return first_after, None
    start = bisect_right(ends, opened)
    return first_after, (start, max(start, bisect_left(starts, closed)))


@cache
def _piece(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """A token's text by itself; of a part of a character a replacement character."""
    return str(tokenizer.decode([token_id]))


def _closing_brace(text: str, start: int) -> int | None:
    """Index of the brace that closes one opened before `start`; answers may hold braces themselves."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None
