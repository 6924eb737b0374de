"""What all fuzz tests share: how many cases, texts that break readers, and small changes to good values.

With `RAML_FUZZ=full` (`make fuzz`) there are all cases, new ones each time; else one in 200, the same ones each time.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FULL = os.environ.get("RAML_FUZZ") == "full"
PATIENCE = 60.0  # CPU seconds after which a case counts as a hang, however busy the machine is; one is enough for most

ODD = [
    "",
    "\x00",
    "﻿",
    "\ud7ff",
    "é" * 3,
    "-0",
    "1e999",
    "nan",
    "inf",
    "9" * 500,
    "2020-13-45",
    "1:60",
    "0x",
    "__proto__",
]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 3), st.floats(), st.text(max_size=8), st.sampled_from(ODD)
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3),
    max_leaves=6,
)


def cases(number: int) -> Callable[[Any], Any]:
    """A test of `number` cases, of which each has to end soon."""

    def decorate(test: Any) -> Any:
        test.hypothesis.inner_test = ends_soon(test.hypothesis.inner_test)
        return settings(
            max_examples=number if FULL else max(10, number // 200),
            deadline=None,
            derandomize=not FULL,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )(test)

    return decorate


def ends_soon(case: Callable[..., None]) -> Callable[..., None]:
    """The case, with an error once it has taken `PATIENCE`."""

    @wraps(case)
    def timed(*args: Any, **kwargs: Any) -> None:
        before = signal.signal(signal.SIGPROF, give_up)
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        try:
            case(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    return timed


def give_up(*_: object) -> None:
    raise TimeoutError(f"no end after {PATIENCE:g} CPU seconds")


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all parts of mappings and lists, of JSON's kind."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, part in below for way in ((*above, key), *places(part, (*above, key)))]


def changed(*good: Any) -> st.SearchStrategy[Any]:
    """One of the `good` values with up to three parts replaced, taken away, renamed or added."""
    return st.integers(0, len(good) - 1).flatmap(lambda which: _changed(good[which]))


@st.composite
def _changed(draw: st.DrawFn, good: Any) -> Any:
    for _ in range(draw(st.integers(1, 3))):
        ways = places(good)
        if ways:
            good = _with(draw, good, draw(st.sampled_from(ways)))
    return good


def _with(draw: st.DrawFn, value: Any, way: tuple[Any, ...]) -> Any:
    """A copy of `value` in which the part at `way` is another."""
    key, *rest = way
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _with(draw, copy[key], tuple(rest))
        return copy
    kind = draw(st.integers(0, 5))
    if kind == 0:
        del copy[key]
    elif kind == 1 and isinstance(copy, dict):
        copy[draw(st.text(max_size=6))] = copy.pop(key)
    elif kind == 2 and isinstance(copy, list):
        copy.append(copy[key])
    elif isinstance(copy[key], int | float) and kind == 3:
        copy[key] = draw(st.sampled_from([-copy[key], 0, copy[key] + 1, 10**6, 10**400, 0.5]))
    else:
        copy[key] = draw(values)
    return copy


@st.composite
def damaged_text(draw: st.DrawFn, words: list[str], longest: int = 60) -> str:
    """Words of a notation in any order, repeated up to `longest` times, nested and cut, with other text between."""
    piece = st.one_of(
        st.sampled_from(words),
        st.text(max_size=5),
        st.sampled_from(ODD),
        st.builds(lambda word, times: word * times, st.sampled_from(words), st.integers(2, longest)),
    )
    text = "".join(draw(st.lists(piece, max_size=12)))
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text
