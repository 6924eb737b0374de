"""What holds for all tests: how they are spread over processes (`make test`), where chance begins, the command."""

import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import settings

# A busy machine is no bug; new examples are for `make fuzz`, so that what passed once passes again.
settings.register_profile("any machine", deadline=None, derandomize=os.environ.get("RAML_FUZZ") != "full")
settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)  # before the plugin reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share costly fixtures stay in one process: those of a file, and all on the finished DAG.

    Where a file says itself to which others it belongs, that holds.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("built" if _on_dag(item) else str(item.path)))
    items.sort(key=lambda item: not _on_dag(item))  # the longest first, beside which all others fit


def _on_dag(item: pytest.Item) -> bool:
    return not {"built", "copy_of_built"}.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Random weights are the same whichever tests ran before; torch is not imported for it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


class Told(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of the error; nothing else but warnings and progress was printed."""
        rest = [line for line in self.err.splitlines() if not re.match(r"\s*$|warning: |probing:|landscape:", line)]
        assert self.out == "" and len(rest) == 1 and rest[0].startswith("error: "), self.err
        return rest[0]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run `raml` in this process."""
    from raml.cli import main

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["raml", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Told(int(ended.value.code or 0), *capsys.readouterr())

    return run
