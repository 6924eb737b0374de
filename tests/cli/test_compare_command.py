"""`raml compare`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def two_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The committed results of micro scale, and a copy with one verdict changed."""
    monkeypatch.setenv("COLUMNS", "160")
    claims = json.loads((ROOT / "results/micro/claims.json").read_text())
    for name in ("before", "after"):
        (tmp_path / name / "micro").mkdir(parents=True)
        (tmp_path / name / "micro/claims.json").write_text(json.dumps(claims))
        claims[2] |= {"verdict": "[bold]odd[/]", "measured": 7.25}
    return tmp_path / "before", tmp_path / "after"


def test_changes_are_shown(
    two_states: tuple[Path, Path], raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command("compare", *two_states) == 0
    shown = capsys.readouterr().out
    claim = json.loads((two_states[0] / "micro/claims.json").read_text())[2]
    for text in (claim["id"], f"{claim['verdict']} → [bold]odd[/]", "→ 7.25", "claims: 1 changed", "all as before"):
        assert text in shown


def test_no_change_ends_with_0_too(raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "results"
    assert raml_command("compare", folder, folder, "--scale", "micro") == 0
    assert "claims: 0 changed" in capsys.readouterr().out


def test_json_has_all_changes(
    two_states: tuple[Path, Path], raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command("compare", *two_states, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (scale,) = found["scales"]
    assert scale["scale"] == "micro" and [claim["fields"] for claim in scale["claims"]] == [["verdict", "measured"]]
    assert scale["claims"][0]["after"]["measured"] == 7.25


@pytest.mark.parametrize("arguments", [["nonsense"], ["results", "--scale", "huge"], []])
def test_bad_input_ends_with_one_line(
    arguments: list[str],
    raml_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert raml_command("compare", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ") and captured.err.count("\n") == 1
