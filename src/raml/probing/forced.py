r"""What is forced after a prefix of a trajectory: an end of the thinking, the answer marker and an answer.

The probe of Algorithm 3. The choices at the seams:

- The forced text is tokenised by itself and its ids follow those of the prefix. The marker never merges with the
  last trajectory token: the trajectory's tokens are those that the model wrote, and the same ids are forced after
  every prefix, so that a curve compares like with like.
- End of thinking, marker, answer and closing brace are tokenised as one text, and the answer's tokens are those
  that overlap it *inside the braces*: `42` after `\boxed{` may be other tokens than `42` alone. The released code
  counts the tokens of the answer alone.
- A token that spans a brace and a part of the answer (`{\` before `\frac`, or `}}` after it) counts as answer,
  since without it the answer would not be whole. What follows the answer is not forced.
- Blanks around an answer are dropped.
- A tokenizer that splits at blanks alone knows `42` but not `42}`; for it the brace stands apart.
- A tokenizer that marks the start of a text as a blank does so here too, unless that would put a blank
  before a line break.
"""

import unicodedata

from transformers import PreTrainedTokenizerBase

from raml.answers.format import MARKER, THINK_END
from raml.errors import InputError
from raml.probing.curves import Probe
from raml.probing.text import Tokens, tokenise

# Figures 5, 13, 15: what closes the thinking in no-thinking mode.
END_OF_THINKING_SENTENCE = "Therefore, after all this, I believe the answer is"
"""For QwQ-32B, and for models that know no tag."""
END_OF_THINKING_TAG = THINK_END
"""For Qwen3-32B."""

_BLANKS = " \t\r\n"  # a form feed is what a shell may make of the \f in \frac
_START_OF_TEXT = "▁"


def forced_probe(
    tokenizer: PreTrainedTokenizerBase, answer: str, *, end_of_thinking: str | None = None, marker: str = MARKER
) -> Probe:
    """The ids of `end_of_thinking`, `marker` and `answer`, with the answer's tokens as inside the braces.

    Args:
        tokenizer: a fast one, which knows the offsets of its tokens.
        answer: without braces around it.
        end_of_thinking: in no-thinking mode what closes the thinking; None in thinking mode.
        marker: ends with the opening brace.

    Raises:
        InputError: an answer that gives no tokens or holds control characters, text that the tokenizer does not
            know, or a slow tokenizer.
    """
    answer = answer.strip(_BLANKS)
    if not answer.strip():
        raise InputError("the answer is blank: there is nothing to force")
    if any(unicodedata.category(character) == "Cc" and character not in _BLANKS for character in answer):
        raise InputError(f"the answer {answer!r} holds a control character; was the backslash of a \\frac lost?")
    before = (end_of_thinking or "") + marker
    text, tokens = _closed(tokenizer, before + answer)
    inside = [
        index
        for index, (start, end) in enumerate(tokens.spans)
        if start < len(before) + len(answer) and end > len(before)
    ]
    if not inside:
        raise InputError(f"the answer {answer!r} tokenises to nothing: the tokenizer drops all of its characters")
    if tokens.unknown is not None:
        part = "answer" if tokens.unknown in answer else "forced text"
        raise InputError(f"the tokenizer has no token for {tokens.unknown!r} in the {part} {text!r}")
    first = _artificial_blank(tokenizer, tokens, text)
    return Probe(tokens.ids[first : inside[0]], tokens.ids[inside[0] : inside[-1] + 1])


def default_end_of_thinking(tokenizer: PreTrainedTokenizerBase) -> str:
    """`</think>` where that is one token, else the sentence."""
    return END_OF_THINKING_TAG if END_OF_THINKING_TAG in tokenizer.get_vocab() else END_OF_THINKING_SENTENCE


def _closed(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[str, Tokens]:
    """`text` with its closing brace, where possible so that all of it is known."""
    attempts = [(text + closing, tokenise(tokenizer, text + closing)) for closing in ("}", " }")]
    return next((attempt for attempt in attempts if attempt[1].unknown is None), attempts[-1])


def _artificial_blank(tokenizer: PreTrainedTokenizerBase, tokens: Tokens, text: str) -> int:
    """1 if the first token is nothing but a blank that is not in the text, else 0."""
    first = tokenizer.convert_ids_to_tokens(tokens.ids[0])
    return int(first == _START_OF_TEXT and not text.startswith((" ", _START_OF_TEXT)))
