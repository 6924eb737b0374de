"""`raml compare`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]


@pytest.fixture
def two_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The committed results of micro scale, and a copy with one verdict and one effect changed."""
    monkeypatch.setenv("COLUMNS", "80")
    claims = json.loads((ROOT / "results/micro/claims.json").read_text())
    for name in ("before", "after"):
        (tmp_path / name / "micro").mkdir(parents=True)
        (tmp_path / name / "micro/claims.json").write_text(json.dumps(claims))
        measured = claims[2]["measured"]
        claims[2] |= {"verdict": "[bold]odd[/]", "measured": measured | {next(iter(measured)): 7.25}}
    return tmp_path / "before", tmp_path / "after"


def test_changed_verdicts_and_effects_are_tables_of_80_columns(two_states: tuple[Path, Path], ask: Ask) -> None:
    told = ask("compare", *two_states)
    claim = json.loads((two_states[0] / "micro/claims.json").read_text())[2]
    assert told.code == 0
    printed, table = " ".join(told.out.split()), told.out[told.out.index("Claims") :]
    for text in (claim["id"], f"{claim['verdict']} → [bold]odd[/]", "7.25", "claims: 1 changed", "all as before"):
        assert text in printed
    assert table.count(f"{claim['id']}:") == 1  # other effects have not changed
    assert max(map(len, table.splitlines())) <= 80 and "\N{HORIZONTAL ELLIPSIS}" not in table


def test_json_has_all_changes(two_states: tuple[Path, Path], ask: Ask) -> None:
    (scale,) = json.loads(ask("compare", *two_states, "--json").out)["scales"]
    assert scale["scale"] == "micro" and [claim["fields"] for claim in scale["claims"]] == [["verdict", "measured"]]
    assert 7.25 in scale["claims"][0]["after"]["measured"].values()


@pytest.mark.parametrize("arguments", [["nonsense"], ["results", "--scale", "huge"], []])
def test_bad_input_ends_with_one_line(arguments: list[str], ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    told = ask("compare", *arguments)
    assert told.code == 2 and told.error()
