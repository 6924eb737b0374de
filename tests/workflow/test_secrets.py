"""Keys and tokens of the environment in which everything ran are in none of its files and lines."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import SECRETS, Built

from raml.cli import main

pytestmark = pytest.mark.timeout(900)


@pytest.mark.workflow
def test_a_run_writes_no_secrets(built: Built) -> None:
    assert [name for name, value in SECRETS.items() if value in built.ran.stdout + built.ran.stderr] == []
    files = [path for path in built.checkout.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(".snakemake" in path.parts for path in files) and any("logs" in path.parts for path in files)
    leaks = {
        f"{name} in {path}" for path in files for name, value in SECRETS.items() if value.encode() in path.read_bytes()
    }
    assert leaks == set()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `raml` prints where all secrets are in the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["raml", *arguments])
        with pytest.raises(SystemExit):
            main()
        shown = capfd.readouterr()
        return shown.out + shown.err

    return run


def test_commands_print_no_secrets(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://someone:passphrase@127.0.0.1:9")
    monkeypatch.chdir(Path(__file__).parents[2])
    told = command("doctor", "--scale", "paper")
    assert "[redacted]@127.0.0.1:9" in told
    for secret in SECRETS.values():
        told += command("claims", "--scale", secret) + command("probe", "--model", str(tmp_path / secret))
        assert secret not in told
    assert "passphrase" not in told
