"""From the token ids of a completion to a row of `schemas.Trajectory`: spans, text, judgement.

Oracle programs and models go through the same function, so the same verifier judges both.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.answers import Judgement, judge
from raml.answers.format import MARKER, THINK_END
from raml.errors import DataError
from raml.questions.verify import verify


def trajectory_row(
    question: Mapping[str, Any],
    writer: str,
    sample: int,
    seed: int,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    loss_mask: Sequence[bool] | None,
    tokenizer: PreTrainedTokenizerBase,
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
        judgements: judgements of this question by text; looked up and added to, since samples repeat.

    Raises:
        DataError: the completion is empty.
    """
    ids = list(token_ids)
    if not ids:
        raise DataError(f"sample {sample} of {question['id']} by {writer} is empty; at least one token is needed")
    text = tokenizer.decode(ids, skip_special_tokens=True)
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
    """Where the thinking ends, and the answer's half-open span between the marker and its closing brace.

    Without `</think>` the thinking ends at the marker, and without either at the last token. There is
    no answer span without a marker after the thinking or without the closing brace.
    """
    ids = list(token_ids)
    think_end = _find(ids, _tokens(tokenizer, THINK_END))
    marker = _tokens(tokenizer, MARKER)
    at = _find(ids, marker, 0 if think_end is None else think_end)
    if at is None:
        return (len(ids) if think_end is None else think_end), None
    start = at + len(marker)
    end = _closing_brace(tokenizer.convert_ids_to_tokens(ids[start:]))
    return (at if think_end is None else think_end), (None if end is None else (start, start + end))


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _find(ids: list[int], part: list[int], start: int = 0) -> int | None:
    """Index of the first occurrence of `part` in `ids` from `start` on."""
    return next((i for i in range(start, len(ids) - len(part) + 1) if ids[i : i + len(part)] == part), None)


def _closing_brace(tokens: list[str]) -> int | None:
    """Index of the token that closes a brace opened before `tokens`; answers may hold braces themselves."""
    depth = 1
    for index, token in enumerate(tokens):
        for character in token:
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return index
    return None
