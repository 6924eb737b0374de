"""Which of many gold answers math-verify can parse, asked of several worker processes at once."""

import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from raml.answers.compare import TIMEOUT, normalised
from raml.answers.supervisor import Supervisor
from raml.progress import track

_PLAIN = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
"""Numbers that need no asking: math-verify parses them."""

ATTEMPTS: Final = 2  # a busy machine may make a worker late; an answer that is no formula is refused at once

_AT_ONCE: Final = 64  # answers that a worker is given at a time


def parsable(answers: Iterable[str], about: str, *, workers: int | None = None) -> Mapping[str, bool]:
    """For each different answer whether math-verify parses it within `compare.TIMEOUT` seconds.

    Each worker process has a thread here that waits for it; math-verify itself runs in no thread.

    Args:
        answers: may repeat; each different one is asked for once.
        about: what the progress line says.
        workers: processes; by default one for each core that this process may use.

    Raises:
        RamlError: a worker does not start.
    """
    read = {answer: normalised(answer) for answer in answers}
    found = {text: bool(_PLAIN.fullmatch(text)) for text in read.values()}
    open_ = sorted(text for text, is_plain in found.items() if text and not is_plain)
    parts = [open_[start : start + _AT_ONCE] for start in range(0, len(open_), _AT_ONCE)]
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(parts)))
    idle = [Supervisor() for _ in range(workers)]
    everyone = list(idle)

    def ask(part: list[str]) -> list[tuple[str, bool]]:
        worker = idle.pop()
        try:
            return [(text, any(worker.parses(text, TIMEOUT) for _ in range(ATTEMPTS))) for text in part]
        finally:
            idle.append(worker)

    try:
        with ThreadPoolExecutor(workers) as threads:
            for asked in track(threads.map(ask, parts), about, len(parts), f"{_AT_ONCE} answers"):
                found.update(asked)
    finally:
        for worker in everyone:
            worker.stop()
    return {answer: found[text] for answer, text in read.items()}
