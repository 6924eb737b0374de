from collections.abc import Callable
from pathlib import Path

import pytest

from raml import code
from raml.trajectories.engine import MODULES

FILES = {
    "__init__.py": '"""Package."""\n__version__ = "1"\n',
    "base.py": "def low(x):\n    return x + 1\n",
    "other.py": "def unrelated():\n    return 1\n",
    "room/__init__.py": '"""A room."""\n',
    "room/helper.py": "from raml.base import low\n\ndef middle(x):\n    return low(x)\n",
    "room/step.py": (
        '"""A step."""\nimport json\nfrom raml.room import helper\n\n'
        'def main(x):\n    """Run."""\n    return helper.middle(x)\n'
    ),
    "room/lazy.py": "def main():\n    import raml.base\n    return raml.base.low(1)\n",
}

Edit = Callable[[str, str, str], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """A small package in place of raml, and a function that replaces text in one of its files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "SOURCE", tmp_path)
    forget()

    def replace(name: str, old: str, new: str) -> None:
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new))
        forget()

    yield replace
    forget()


def forget() -> None:
    for function in (code.code_digest, code._imports, code._tree, code._meaning):
        function.cache_clear()


EDITS: dict[str, tuple[str, str, str, str, bool]] = {  # module, file, what stands there, what then, whether it counts
    "comment": ("step", "room/step.py", "    return", "    # why\n    return", False),
    "docstring": ("step", "room/step.py", '"""Run."""', '"""Run it."""', False),
    "layout": ("step", "room/step.py", "(x)", "( x )", False),
    "blank lines": ("step", "base.py", "def low", "\n\ndef low", False),
    "package docstring": ("step", "room/__init__.py", "A room", "Another room", False),
    "a module that is not imported": ("step", "other.py", "return 1", "return 2", False),
    "the step": ("step", "room/step.py", "helper.middle(x)", "helper.middle(-x)", True),
    "what it imports": ("step", "room/helper.py", "low(x)", "low(x) * 2", True),
    "what that imports": ("step", "base.py", "x + 1", "x + 2", True),
    "what a function imports": ("lazy", "base.py", "x + 1", "x + 2", True),
    "the package": ("step", "__init__.py", '"1"', '"2"', True),
    "the room": ("step", "room/__init__.py", '"""A room."""', '"""A room."""\nSIDE = 1', True),
}


@pytest.mark.parametrize("case", EDITS)
def test_the_digest_changes_with_what_can_change_a_result(edit: Edit, case: str) -> None:
    module, name, old, new, counts = EDITS[case]
    before = code.code_digest(f"raml.room.{module}")
    edit(name, old, new)
    assert (code.code_digest(f"raml.room.{module}") != before) == counts


def test_unused_modules_do_not_count_nor_what_they_alone_import(edit: Edit) -> None:
    unused = frozenset({"raml.room.helper"})
    before = code.code_digest("raml.room.step", unused)
    assert before != code.code_digest("raml.room.step")
    edit("room/helper.py", "low(x)", "low(x) * 2")
    edit("base.py", "x + 1", "x + 2")
    assert code.code_digest("raml.room.step", unused) == before
    edit("room/step.py", "helper.middle(x)", "helper.middle(-x)")
    assert code.code_digest("raml.room.step", unused) != before


def test_a_step_that_samples_depends_on_other_engines_only_where_they_are_used() -> None:
    step = "raml.trajectories.sample"
    others = code._transitive(step, frozenset()) - code._transitive(step, frozenset(MODULES.values()))
    assert others == {*MODULES.values(), "raml.trajectories.vllm_parameters", "raml.trajectories.retries"}


def test_the_digest_is_the_same_in_every_process() -> None:
    assert code.code_digest("raml.config") == code.code_digest.__wrapped__("raml.config")
    assert len(code.code_digest("raml.config")) == 12
