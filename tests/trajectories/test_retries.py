import threading
import time

import httpx
import pytest

from raml.errors import RamlError
from raml.trajectories import retries
from raml.trajectories.retries import NoAnswerError, judge_answer, with_retries


def response(status, content=b"", **headers):
    request = httpx.Request("GET", "http://host/path")
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=content, headers=names, request=request)


class Pauses(threading.Event):
    """Writes down how long it is waited for, and waits not at all."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return self.is_set()


def failing(*errors):
    """A function that raises these errors one after the other, and then answers."""
    left = list(errors)

    def ask():
        if left:
            raise left.pop(0)
        return "answer"

    return ask


def test_pauses_double_up_to_a_limit_and_vary():
    pauses = Pauses()
    errors = [NoAnswerError("busy")] * 9
    assert with_retries(failing(*errors), "x", tries=10, given_up=pauses) == "answer"
    limits = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses.seconds, limits, strict=True))
    assert len({pause / limit for pause, limit in zip(pauses.seconds, limits, strict=True)}) == len(limits)


def test_the_server_may_ask_for_longer_pauses_but_not_for_shorter_ones():
    pauses = Pauses()
    asked = [7.5, 0.001, 1e9]
    with_retries(failing(*(NoAnswerError("busy", pause) for pause in asked)), "x", tries=4, given_up=pauses)
    assert pauses.seconds[0] == 7.5
    assert 1 <= pauses.seconds[1] <= 2
    assert pauses.seconds[2] == retries.LONGEST_ASKED_PAUSE


def test_a_pause_ends_when_nobody_waits_any_more():
    given_up = threading.Event()
    threading.Timer(0.1, given_up.set).start()
    start = time.monotonic()
    with pytest.raises(RamlError, match="after 1 tries"):
        with_retries(failing(*[NoAnswerError("busy", 300.0)] * 5), "x", tries=5, given_up=given_up)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("1.5", 1.5), ("-3", 0), ("soon", 0), ("Tue, 01 Jan 2019 00:00:00 GMT", 0)]
)
def test_the_header_retry_after_is_heeded(header, seconds):
    with pytest.raises(NoAnswerError) as raised:
        judge_answer(response(429, retry_after=header))
    assert raised.value.pause == seconds


def test_good_answers_and_others():
    assert judge_answer(response(200, b'{"a": 1}')) == {"a": 1}
    for content in (b'{"a": ', b"[1]", b"", b"\xff"):
        with pytest.raises(NoAnswerError):
            judge_answer(response(200, content))
    for status in (429, 500, 502, 503):
        with pytest.raises(NoAnswerError, match=f"HTTP {status}"):
            judge_answer(response(status))
