"""The program that compares mathematical answers with math-verify, in a process of its own.

`raml.answers.supervisor` starts this file, sends one JSON line a comparison and kills it when it is
late: sympy can hang inside one C call (9^{9^{9}}), where neither threads nor Python-level alarms help.

    <- {"ready": true}                            or {"error": why it cannot work}
    -> {"answer": ..., "gold": ..., "limit": s}
    <- {"gold_parsed": true}, then {"equal": ...}    or {"gold_parsed": false} alone
    -> {"gold": ..., "limit": s}
    <- {"gold_parsed": ...}

Only the standard library is imported at the top: the supervisor imports this module for its path.
"""

import contextlib
import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

MEMORY_LIMIT = 2 << 30  # bytes of address space; beyond it sympy sees a MemoryError

_MATH_DELIMITER = re.compile(r"(?<!\\)(?:\$|\\[()\[\]])")
_PERCENT = re.compile(r"\s*\\?%$")


def as_latex(text: str) -> str:
    r"""`text` as one formula in dollars, the only thing that math-verify is let to find.

    A percent sign goes behind the dollars, where math-verify reads it; a leading `=` and a final full
    stop, which its LaTeX grammar refuses, go.
    """
    formula = _MATH_DELIMITER.sub("", text).strip().removeprefix("=").removesuffix(".").strip()
    without_percent = _PERCENT.sub("", formula)
    return f"${without_percent}${'' if without_percent == formula else '%'}"


def main() -> None:
    """Serve comparisons from stdin until it is closed."""
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # antlr prints to stdout
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # an ignored signal would stay ignored
        logging.disable()
        try:
            parse, verify = _load()
        except Exception as error:
            _reply(replies, error=f"{type(error).__name__}: {error}")
            return
        _reply(replies, ready=True)
        for line in sys.stdin:
            request = json.loads(line)
            # Should the supervisor be gone, the kernel ends a hanging comparison: the default action
            # of SIGALRM needs no cooperation from the interpreter.
            signal.setitimer(signal.ITIMER_REAL, request["limit"])
            _serve(request, parse, verify, replies)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _load() -> tuple[Callable[[str], list[Any]], Callable[[list[Any], list[Any]], bool]]:
    """math-verify's parser and comparison, warmed up, without timeouts of their own."""
    import math_verify

    # Its second extractor, for bare numbers, would fish 5 out of the malformed "10 { 5".
    targets = [math_verify.LatexExtractionConfig()]

    def parse(text: str) -> list[Any]:
        parsed: list[Any] = math_verify.parse(
            as_latex(text), targets, fallback_mode="no_fallback", parsing_timeout=None
        )
        return parsed

    def verify(gold: list[Any], answer: list[Any]) -> bool:
        return bool(math_verify.verify(gold, answer, timeout_seconds=None))

    if not verify(parse(r"\frac{1}{2}"), parse("0.5")):
        raise RuntimeError("math-verify says that 0.5 is not 1/2")
    return parse, verify


def _serve(
    request: dict[str, Any],
    parse: Callable[[str], list[Any]],
    verify: Callable[[list[Any], list[Any]], bool],
    replies: TextIO,
) -> None:
    gold: list[Any] = []
    with contextlib.suppress(Exception):
        gold = parse(request["gold"])
    _reply(replies, gold_parsed=bool(gold))
    if not gold or "answer" not in request:
        return
    equal = False
    with contextlib.suppress(Exception):
        equal = verify(gold, parse(request["answer"]))
    _reply(replies, equal=equal)


def _reply(replies: TextIO, **message: bool | str) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
