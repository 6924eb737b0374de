"""Text as token ids together with the stretch of text that each token stands for."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from raml.errors import InputError


@dataclass(frozen=True)
class Tokens:
    """A text of n tokens."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]  # half-open, in characters of the text; tokens of one character share its span
    unknown: str | None  # the first stretch of the text that the tokenizer has no token for


def tokenise(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """`text` as it stands: no special tokens are added, those that it spells out are recognised.

    Raises:
        InputError: the tokenizer does not say where in the text its tokens are.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} is a slow tokenizer, which does not say where in a text its tokens are; "
            "convert it to a tokenizer.json (`AutoTokenizer.from_pretrained(...).save_pretrained(...)`)"
        )
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, spans = encoded["input_ids"], [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
    stand_ins = _stand_ins(tokenizer)
    unknown = (text[start:end] for token, (start, end) in zip(ids, spans, strict=True) if token in stand_ins)
    return Tokens(tuple(ids), tuple(spans), next((part for part in unknown if part not in stand_ins.values()), None))


def known(tokenizer: PreTrainedTokenizerBase, text: str, what: str) -> Tokens:
    """`text`, which is called `what`, all of whose tokens the tokenizer knows.

    Raises:
        InputError: it does not, or there are none.
    """
    tokens = tokenise(tokenizer, text)
    if tokens.unknown is not None:
        raise InputError(f"the tokenizer has no token for {tokens.unknown!r} in the {what}")
    if not tokens.ids:
        raise InputError(f"the {what} is empty: {text[:40]!r} gives no token")
    return tokens


def pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What each token adds to the text when tokens are shown one after another; together they are `text`.

    Blanks that belong to no token go to the next one, or at the end to the last. Of several tokens of one
    character (byte-level vocabularies) the first shows it and the others add nothing.
    """
    shown, cursor = [], 0
    for _, end in spans:
        end = max(cursor, end)
        shown.append(text[cursor:end])
        cursor = end
    if shown:
        shown[-1] += text[cursor:]
    return shown


def _stand_ins(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The tokens, as text by id, that stand for what is not in the vocabulary."""
    of_model = getattr(getattr(tokenizer.backend_tokenizer, "model", None), "unk_token", None)
    names = {name for name in (tokenizer.unk_token, of_model) if name}
    vocabulary = tokenizer.get_vocab()
    return {vocabulary[name]: name for name in names if name in vocabulary}
