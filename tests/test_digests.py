import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raml import code, digests
from raml.trajectories.engine import MODULES

STEPS = sorted(
    "raml." + ".".join(path.relative_to(code.SOURCE).with_suffix("").parts)
    for path in code.SOURCE.rglob("*.py")
    if re.search(r"^    run\(", path.read_text(), re.MULTILINE)
)
UNUSED = frozenset(MODULES.values())


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of remembered digests, not there yet."""
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path / ".snakemake" / "raml-digests.json"
    forget()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules whose digests are really taken."""
    modules: list[str] = []
    take: Callable[..., str] = code.code_digest

    def noted(module: str, unused: frozenset[str] = frozenset()) -> str:
        modules.append(module)
        return take(module, unused)

    monkeypatch.setattr(code, "code_digest", noted)
    return modules


@pytest.fixture
def package(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package in place of raml; its folder."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "step.py").write_text("x = 1\n")
    monkeypatch.setattr(code, "SOURCE", folder)
    anew()
    yield folder
    anew()


def forget() -> None:
    """As a new process begins."""
    digests._current_sources.cache_clear()
    digests._remembered.cache_clear()


def anew() -> None:
    forget()
    for function in (code._imports, code._tree, code._meaning):
        function.cache_clear()
    if hasattr(code.code_digest, "cache_clear"):
        code.code_digest.cache_clear()


def test_they_are_those_of_raml_code_first_and_afterwards(kept: Path, taken: list[str]) -> None:
    assert len(STEPS) > 30
    true = {(step, unused): code.code_digest(step, unused) for step in STEPS for unused in (frozenset(), UNUSED)}
    taken.clear()
    for _ in range(2):
        assert {key: digests.remembered_digest(*key) for key in true} == true
        forget()
    assert sorted(taken) == sorted(STEPS * 2)
    assert len(json.loads(kept.read_text())["digests"]) == len(true)


def test_an_edit_is_seen_whatever_the_times(package: Path) -> None:
    before = digests.remembered_digest("raml.step")
    (package / "step.py").write_text("# Why\nx = 1\n")
    anew()
    assert digests.remembered_digest("raml.step") == before
    (package / "step.py").write_text("x = 2\n")
    anew()
    assert digests.remembered_digest("raml.step") != before
    (package / "step.py").write_text("x = 1\n")
    anew()
    assert digests.remembered_digest("raml.step") == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"raml.config": "', '"raml.config": "f'),
        lambda text: text.replace('"sources": "', '"sources": "f'),
    ],
    ids=["cut off", "a list", "another digest", "other sources"],
)
def test_a_spoiled_file_is_not_believed(kept: Path, taken: list[str], spoil: Callable[[str], str]) -> None:
    true = digests.remembered_digest("raml.config")
    kept.write_text(spoil(kept.read_text()), errors="surrogateescape")
    forget()
    assert digests.remembered_digest("raml.config") == true
    forget()
    assert digests.remembered_digest("raml.config") == true
    assert taken == ["raml.config"] * 2


def test_where_nothing_can_be_written_nothing_is_kept_and_an_unknown_module_is_named(kept: Path) -> None:
    kept.parent.write_text("a file in the folder's place")
    assert digests.remembered_digest("raml.config") == code.code_digest("raml.config")
    with pytest.raises(ModuleNotFoundError, match=r"raml\.nothing"):
        digests.remembered_digest("raml.nothing")
