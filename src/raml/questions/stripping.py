"""Taking URLs and HTML out of a question's text."""

import html
import re
from typing import Final

_URL = re.compile(r"(?:https?://|ftp://|\bwww\.)[^\s<>\"{}|\\^`\[\]]*[^\s<>\"{}|\\^`\[\].,;:!?)']", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]]*)\]\(\s*(?:https?://|www\.)[^\s()]*(?:\([^\s()]*\)[^\s()]*)*\s*\)", re.IGNORECASE)
# Tags by name, since `a < b` and `x<y>z` are mathematics.
_TAGS: Final = (
    *(
        "a",
        "abbr",
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "col",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "font",
    ),
    *(
        "h[1-6]",
        "head",
        "hr",
        "html",
        "i",
        "iframe",
        "img",
        "input",
        "label",
        "li",
        "link",
        "meta",
        "ol",
        "p",
        "pre",
        "s",
    ),
    *(
        "script",
        "small",
        "span",
        "strike",
        "strong",
        "style",
        "sub",
        "sup",
        "svg",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
    ),
    *("title", "tr", "tt", "u", "ul", "video"),
)
_NAME: Final = rf"(?:{'|'.join(_TAGS)})"
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_RAISED = re.compile(r"<(sup|sub)\b[^<>]*>([^<>]*)</\1\s*>", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|hr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(rf"</?{_NAME}(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\u00a0]+")
_NEWLINES = re.compile(r" ?\n ?(?:\s*\n)?")


def strip(text: str) -> str:
    """`text` without URLs, HTML and superfluous blanks; what was raised or lowered stays so, in LaTeX."""
    while True:
        stripped = _HIDDEN.sub(" ", text)
        stripped = _RAISED.sub(lambda match: f"{'^' if match[1].lower() == 'sup' else '_'}{{{match[2]}}}", stripped)
        stripped = _TAG.sub("", _BREAK.sub("\n", stripped))
        stripped = _URL.sub("", _LINK.sub(r"\1", stripped))
        stripped = html.unescape(stripped) if "&" in stripped else stripped
        stripped = _NEWLINES.sub("\n", _BLANKS.sub(" ", stripped)).strip()
        if stripped == text:
            return text
        text = stripped
