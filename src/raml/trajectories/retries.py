"""Asking a server again for what it could not give the first time, and telling that from what it never will."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, TypeVar

import httpx

from raml.errors import InputError, RamlError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
LONGEST_ASKED_PAUSE = 600.0  # seconds; a server may ask for a longer pause (Retry-After), up to this

T = TypeVar("T")


class NoAnswerError(Exception):
    """What came back is no answer, but another try may bring one; the server asks for `pause` seconds before it."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        """`reason` ends in the message if no try brings an answer."""
        super().__init__(reason)
        self.pause = pause


def with_retries(ask: Callable[[], T], what: str, *, tries: int, given_up: Event | None = None) -> T:
    """The answer of `ask`, called up to `tries` times while it raises `NoAnswerError` or loses its connection.

    Pauses double from `FIRST_PAUSE` to `LONGEST_PAUSE` and are drawn between half and whole, so that requests that
    failed together do not come back together.

    Args:
        ask: what is tried.
        what: what is asked for, for messages.
        tries: at least 1.
        given_up: once it is set, by another thread, nobody waits for the answer: no further tries.

    Raises:
        RamlError: no try brought an answer.
        InputError: as raised by `ask`.
    """
    given_up = given_up or Event()
    for number in range(tries):
        try:
            return ask()
        except NoAnswerError as error:
            reason, asked = str(error), error.pause
        except (httpx.TransportError, httpx.DecodingError) as error:  # hung up, half a body, timed out, refused
            reason, asked = f"{type(error).__name__}: {error}", 0.0
        if number + 1 < tries:
            pause = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
            given_up.wait(max(pause, min(asked, LONGEST_ASKED_PAUSE)))
        if given_up.is_set():
            break
    raise RamlError(f"{what}: no answer after {number + 1} tries ({' '.join(reason.split())[:200]})")


def judge_answer(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a good answer.

    Raises:
        NoAnswerError: the server is busy (429), failed (5xx), or the body is not whole.
        InputError: the server refuses the request; the message is its own.
    """
    if response.status_code == 429 or response.status_code >= 500:
        raise NoAnswerError(f"HTTP {response.status_code}: {_message(response)}", _retry_after(response))
    if response.status_code != 200:
        raise InputError(f"{response.url} refuses: HTTP {response.status_code}: {_message(response)}")
    try:
        answer = response.json()
    except ValueError:
        raise NoAnswerError("half an answer") from None
    if not isinstance(answer, dict):
        raise NoAnswerError("an answer that is no JSON object")
    return answer


def _message(response: httpx.Response) -> str:
    """What the server says is wrong, in one line."""
    try:
        said = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = response.text or response.reason_phrase
    return " ".join(str(said).split())[:300]


def _retry_after(response: httpx.Response) -> float:
    """Seconds of the header Retry-After, which holds them or a date; 0 without one."""
    header = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
