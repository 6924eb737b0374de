"""Which published questions are kept, and what is stripped from their text: the paper's cleaning of Open Reasoner Zero.

A question is dropped by the first filter of `FILTERS` that applies; `ANSWER_FILTERS` are those that a data set needs
which others have cleaned already. All are functions of question and answer alone, except the last, for which
math-verify is asked (`raml.answers.parsable`). The paper names what is dropped and gives no rules; these are ours.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from raml.questions.stripping import strip

Row = dict[str, Any]

EXAMPLES: Final = 3  # dropped questions that the table shows of each filter


@dataclass(frozen=True)
class Filter:
    """A reason to drop a question. `applies(question, answer)` is given the text as published."""

    name: str
    description: str
    applies: Callable[[str, str], bool]


@dataclass(frozen=True)
class Raw:
    """A question as published, before it has an id: the number of its row, its text and its gold answer."""

    number: int
    question: str
    answer: str


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in alternatives), re.IGNORECASE)


_PICTURES: Final = r"(?:figures?|fig\.|diagrams?|pictures?|images?|drawings?|illustrations?|sketch(?:es)?|photos?)"
_HERE: Final = r"(?:below|above|here|at (?:the )?(?:right|left)|(?:on|to) the (?:right|left))"
# The figure of geometry, as in "the area of the figure bounded by", is no picture.
_GEOMETRY: Final = r"(?! (?:of|bounded|enclosed|formed|limited|defined|given by|obtained|whose|described|determined)\b)"
_NUMBERED: Final = r"(?:no\.? |number |#)?\d+"

_PICTURE = _any(
    r"!\[[^\]]*\]\(|<(?:img|svg)\b|\\includegraphics|\[/?asy\]|\\begin\{(?:tikzpicture|asy)\}",
    r"\.(?:png|jpe?g|gif|svg)\b",
    r"\b(?:in|on|from|see|as|using|consider|study|examine|by) (?:the|this|that|these|our) (?:[a-z]+ )?"
    rf"{_PICTURES}\b{_GEOMETRY}",
    rf"\b(?:of|the|this) {_PICTURES} (?:(?:is|are|as) )?(?:shown|depicted|pictured|shows?|depicts?|illustrates?)\b",
    r"\bof (?:the|this) (?:figure|diagram|picture|drawing|illustration) ?(?:$|[?.,])",
    rf"\b{_PICTURES} (?:\d+ )?(?:(?:is|are) )?(?:shown )?{_HERE}",
    rf"\b(?:shown|pictured|depicted|illustrated|drawn|graphed) {_HERE}",
    r"\b(?:graph|chart|map)s? (?:(?:is|are|as) )?(?:shown|depicted)|\bfig(?:ure)?s?\.? ?\d",
    "如图|下图|图中|图所示",
)
_TABLE = re.compile(
    r"\b(?:table|chart|graph|map)s? (?:is )?(?:shown |given )?(?:below|above|at (?:the )?right)", re.IGNORECASE
)
_CELLS = re.compile(r"\||&|\\begin\{|<t[dr]\b|\t|\n.*\n.*\n")
_OUTSIDE = _any(
    r"\b(?:previous|preceding|foregoing) (?:problem|question|exercise|task|example|chapter|section|lesson)\b",
    rf"\b(?:problem|question|exercise|example|task|section|chapter|paragraph)s? {_NUMBERED}(?:\.\d+)* (?:above|below)",
    r"\b(?:see|from|in|of|to|use|using|with) (?:the )?"
    rf"(?:problem|exercise|example|theorem|lemma|section|chapter|appendix|page)s? {_NUMBERED}",
    r"\b(?:the|this|your|our) (?:textbook|article|passage|newspaper|website|web ?page|attachment|video|handout)\b",
    r"\b(?:search|look (?:it )?up|find (?:it )?)\b.{0,40}\b(?:online|internet|web)\b|\bclick (?:here|on|the)\b",
    r"\b(?:current|today's) (?:date|year|price|exchange rate|population|president)\b",
    "上题|前题|见教材|课本",
)
_NO_ANSWER = re.compile(
    r"[\s$.?_*-]*|(?:\\text\{)?\(?(?:n/?a|none|null|nan|nil|unknown|missing|omitted|tbd|to be determined|"
    r"not (?:given|provided|available)|no answer(?: (?:given|provided|available))?|see (?:the )?solutions?|"
    r"proof(?: omitted)?|proved|proven|q\.?e\.?d|无|略|证明略)\.?\)?\}?",
    re.IGNORECASE,
)
_LOST = _any(
    r"\[?(?:missing|illegible|unreadable|text (?:lost|cut off)|translation (?:error|missing)|not legible)\]",
    r"the (?:problem|question|text|statement) (?:is|was|seems|appears)(?: to be)? "
    r"(?:incomplete|missing|cut off|truncated)",
    r"题目不完整|\ufffd\s*$",
)
_OPEN_END = re.compile(
    r"(?:[,;(\[{+<&]|(?<![.\d])\.\.\.|…|"
    r"\b(?:and|or|the|an|of|if|that|with|such|where|which|when|for|let|then|than))\s*$",
    re.IGNORECASE,
)
_DOLLAR = re.compile(r"(?<!\\)\$")
_PRICE = re.compile(r"(?<!\\)\$\d[\d,]*(?:\.\d+)?(?=[\s.,;?!)]|$)")


def is_incomplete(question: str, _: str) -> bool:
    """Nothing is asked, or the text was cut off: too short, an end or a formula that stays open, or it says so."""
    text = strip(question)
    words = re.findall(r"\w+", text)
    if len(text) < 10 or (len(words) < 3 and not re.search(r"[\u4e00-\u9fff]", text)):
        return True
    is_open = len(_DOLLAR.findall(text)) % 2 and not _PRICE.search(text)
    if is_open or text.count("\\begin{") != text.count("\\end{"):
        return True
    return bool(_LOST.search(text) or _OPEN_END.search(text))


def has_no_answer(_: str, answer: str) -> bool:
    """The answer is empty, or says that there is none."""
    return bool(_NO_ANSWER.fullmatch(answer.strip()))


def needs_a_picture(question: str, _: str) -> bool:
    """A picture is linked, drawn by a program or spoken of as if it stood there; or so is a table that does not."""
    return bool(_PICTURE.search(question) or (_TABLE.search(question) and not _CELLS.search(question)))


def needs_outside_information(question: str, _: str) -> bool:
    """The text speaks of another problem, a book, an article or something to be looked up."""
    return bool(_OUTSIDE.search(question))


def is_empty(question: str, answer: str) -> bool:
    """Question or answer is missing altogether."""
    return not question.strip() or not answer.strip()


NOT_VERIFIABLE: Final = "not verifiable"

FILTERS: Final[tuple[Filter, ...]] = (
    Filter("incomplete", "nothing is asked, or the text was cut off", is_incomplete),
    Filter("no answer", "the answer is empty or says that there is none", has_no_answer),
    Filter("needs a picture", "a picture is linked, drawn or spoken of", needs_a_picture),
    Filter("needs outside information", "another problem, a book or something to look up", needs_outside_information),
)
ANSWER_FILTERS: Final[tuple[Filter, ...]] = (Filter("empty", "there is no question or no answer", is_empty),)


@dataclass(frozen=True)
class Cleaned:
    """Questions that were kept, and by the name of the filter, in the filters' order, those that were dropped."""

    kept: list[Raw]
    dropped: Mapping[str, list[Raw]]
    descriptions: Mapping[str, str]


def clean(
    questions: Sequence[Raw], filters: Sequence[Filter], parsable: Callable[[Sequence[str]], Mapping[str, bool]] | None
) -> Cleaned:
    """Drop each question by the first filter that applies and strip the rest.

    Args:
        questions: as published.
        filters: in order.
        parsable: which answers can be compared with; None: all can.
    """
    dropped: dict[str, list[Raw]] = {one.name: [] for one in filters}
    kept = []
    for raw in questions:
        passed = sum(1 for _ in takewhile(lambda one, raw=raw: not one.applies(raw.question, raw.answer), filters))  # type: ignore[misc]
        if passed < len(filters):
            dropped[filters[passed].name].append(raw)
        else:
            kept.append(raw)
    descriptions = {one.name: one.description for one in filters}
    if parsable is not None:
        can_be = parsable([raw.answer for raw in kept])
        dropped[NOT_VERIFIABLE] = [raw for raw in kept if not can_be[raw.answer]]
        descriptions[NOT_VERIFIABLE] = "math-verify cannot parse the answer"
        kept = [raw for raw in kept if can_be[raw.answer]]
    return Cleaned(kept, dropped, descriptions)


def counts(cleaned: Cleaned, choose: Callable[[Raw], Any]) -> list[Row]:
    """Rows of `schemas.CleaningCount`: how many each filter dropped, and the first of them by `choose`."""
    left = len(cleaned.kept) + sum(map(len, cleaned.dropped.values()))
    rows = []
    for order, (name, dropped) in enumerate(cleaned.dropped.items()):
        left -= len(dropped)
        examples = [
            {"row": raw.number, "question": raw.question, "answer": raw.answer}
            for raw in sorted(dropped, key=choose)[:EXAMPLES]
        ]
        about = {"filter": name, "order": order, "description": cleaned.descriptions[name]}
        rows.append({**about, "dropped": len(dropped), "left": left, "examples": examples})
    return rows
