"""The record of machine and packages: whole, the same each time, without names and dates."""

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest

from raml.config import Section
from raml.errors import DataError
from raml.lineage.environment import environment, main, read_environment
from raml.step import Step

LOCK = Path(__file__).parents[2] / "requirements/core.lock"


def test_versions_are_those_installed() -> None:
    machine = environment(LOCK)
    assert machine.packages["numpy"] == metadata.version("numpy")
    assert machine.python == platform.python_version() and machine.architecture == platform.machine()
    assert machine.processor and machine.system.startswith(platform.system())
    assert machine.processor in machine.in_words()


def test_the_record_is_the_same_each_time_and_names_nobody(tmp_path: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        step = Step("m", "micro", Section(), 0, {"lock": LOCK, "claims": LOCK, "out": tmp_path / name}, {})
        main(step)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert platform.node() not in texts[0].split() and sys.prefix not in texts[0]
    assert read_environment(tmp_path / "a.json").model_dump(mode="json") == json.loads(texts[0])


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"processor": 1}')
    with pytest.raises(DataError, match=r"x\.json describes no machine: processor"):
        read_environment(tmp_path / "x.json")
