"""One progress line with an ETA, on a terminal and in a log file alike."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm


def progress(description: str, total: int, unit: str) -> "tqdm[Any]":
    """A progress line that the caller advances with `.update(n)`; use as a context manager.

    On a terminal the line is redrawn ten times a second; in a log a new state is written every
    five seconds, so that `tail -f` on a job's log shows the ETA.
    """
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        mininterval=0.1 if interactive else 5.0,
        dynamic_ncols=interactive,
        unit_scale=total > 100_000,
    )


def track(items: Iterable[Any], description: str, total: int, unit: str) -> Iterator[Any]:
    """Iterate over `items` while the progress line advances by one for each."""
    with progress(description, total, unit) as line:
        for item in items:
            yield item
            line.update()
