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
    """
    ids = list(token_ids)
    marker = tokenizer.encode(MARKER, add_special_tokens=False)
    ends = _occurrences(ids, tokenizer.encode(THINK_END, add_special_tokens=False))
    markers = _occurrences(ids, marker)
    thinking_end = (ends[:1] or markers[-1:] or [len(ids)])[0]
    if not markers or markers[-1] < thinking_end:
        return thinking_end, None
    start = markers[-1] + len(marker)
    length = _closing_brace([str(token) for token in tokenizer.convert_ids_to_tokens(ids[start:])])
    return thinking_end, None if length is None else (start, start + length)


def _occurrences(ids: list[int], part: list[int]) -> list[int]:
    """Indices at which `part` starts in `ids`."""
    return [index for index in range(len(ids) - len(part) + 1) if ids[index : index + len(part)] == part]


def _closing_brace(tokens: list[str]) -> int | None:
    """Index of the token that closes a brace opened before `tokens`; answers may hold braces themselves."""
    depth = 1
    for index, token in enumerate(tokens):
        for character in token:
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return index
    return None
