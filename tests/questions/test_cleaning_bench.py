"""The cleaning benchmark cleans, in the schema of the Hub."""

from pathlib import Path

import pytest

from benchmarks.cleaning import cleaning_benchmark


def test_all_is_cleaned_and_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cleaning_benchmark(60)
    assert found["questions"] == 60
    assert found["seconds"] > 0 and found["cpu_seconds"] > 0 and found["cores"] >= 1
    assert "of 60 questions" in capsys.readouterr().out
