import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raml.cli import main
from tiny_model_folder import tiny_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    return folder


@pytest.fixture
def raml_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command in this process and give its exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["raml", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run
