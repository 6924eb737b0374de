import pytest

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
