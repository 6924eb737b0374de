import sys

import pytest

from benchmarks.run import best_seconds, machine
from raml.errors import RamlError
from raml.lineage.environment import processor


def test_a_command_is_timed() -> None:
    assert 0 < best_seconds([sys.executable, "-c", "print('done')"], expected="done") < 30


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "print('busy')"])
def test_a_command_that_does_not_end_as_it_should_is_no_timing(code: str) -> None:
    with pytest.raises(RamlError, match="did not end as it should"):
        best_seconds([sys.executable, "-c", code], expected="done")


def test_the_machine_is_described() -> None:
    described = machine()
    assert described["cores"] >= 1
    assert described["cpu"] == processor()
    assert set(described["packages"]) >= {"torch", "snakemake"}
