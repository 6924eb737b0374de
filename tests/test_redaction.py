import os
import subprocess
import sys

import pytest

from raml.code import SOURCE
from raml.redaction import redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://me:pass@host/path", "ssh://[redacted]@host/path"),
        ("https://token@host and s3://bucket/key", "https://[redacted]@host and s3://bucket/key"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer [redacted]"),
        ("used hf_" + "a" * 34, "used [redacted]"),
        ("a@b.org, 3@4", "a@b.org, 3@4"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_values_of_the_environment_become_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER_PASSWORD", "correct horse")
    monkeypatch.setenv("MY_SERVER_PASSWORD_LONGER", "correct horse battery")
    monkeypatch.setenv("KEY_COUNT", "12")
    assert redacted("401: correct horse battery") == "401: [MY_SERVER_PASSWORD_LONGER]"
    assert redacted("correct horse, 12") == "[MY_SERVER_PASSWORD], 12"


STEP = """
import sys
from raml.config import Section
from raml.errors import RamlError
from raml.step import run

def main(step):
    raise {error}("the server says: server-key-4711 is wrong, at http://me:passphrase@host/v1")

run(main, Section, arguments=["--scale", "s", "--config", "{{}}"])
"""


@pytest.mark.parametrize(("error", "code"), [("RamlError", 1), ("ValueError", 1)])
def test_jobs_log_no_secrets(error: str, code: int) -> None:
    """Neither in the one line of an expected error nor in the traceback of another."""
    ran = subprocess.run(
        [sys.executable, "-c", STEP.format(error=error)],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent), "VLLM_API_KEY": "server-key-4711"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code and ("Traceback" in ran.stderr) == (error == "ValueError")
    assert "[VLLM_API_KEY] is wrong, at http://[redacted]@host/v1" in ran.stderr
    assert "4711" not in ran.stderr and "passphrase" not in ran.stderr
