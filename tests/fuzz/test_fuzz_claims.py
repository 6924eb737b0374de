"""Whatever `config/claims.yaml` holds, it is a registry or one line that says why not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import cases, changed, damaged_text, values
from hypothesis import example, given

from raml.claims.registry import Claim, load_registry
from raml.config import validate
from raml.errors import ConfigError

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
REGISTRY: dict[str, Any] = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text(encoding="utf-8"))
ENTRIES = [REGISTRY["defaults"] | entry for entry in REGISTRY["claims"] if "not_run" not in entry]
REPORTED = {"table2": {"base": {"AIME24": {"P8": 12.5, "mG8": 3}}}, "figure9": {"values": [1, 2]}}
SMALL = [
    {
        "id": "tab2", "exhibit": "tab2", "statement": "s", "paper": "p", "measured": "m", "needs": "n", "command": "c",
        "decidable_at": [], "min_questions": 20, "not_run": "why", "reported": ["table2.base"],
        "tolerance": {"of": {"table2": 5.0}, "why": "w"},
    },
    ENTRIES[0] | {"reported": []},
]  # fmt: skip
WORDS = [
    "claims:", "\n", "  ", "- ", "id: ", "tab2", "all: [{quantity: x}]", "? ", ": ", "&a ", "*a", "<<: *a", "!!int ",
    "!!python/object/apply:os.system [id]", "!!timestamp ", "2020-13-45", "[", "]", "{", "}", '"', "'", "|", ">", "#",
    "---", "...", "%YAML 1.2", "\t", "1_0", ".nan", "!!binary ", "!!set", "!!bool ", "0o9", "1:61:61", ",",
]  # fmt: skip
BOMB = (
    "a: &a0 [x]\n"
    + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    + "claims: [*a11]"
)
MERGED = "a: &a0 {x: 1}\n" + "".join(f"b{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def read(folder: Path, claims: str, reported: str = "{}") -> None:
    """What is no registry ends with a ConfigError of one line."""
    paths = folder / "claims.yaml", folder / "reported.yaml"
    for path, text in zip(paths, (claims, reported), strict=True):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_registry(*paths)
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) < 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("claims")


@cases(20_000)
@given(text=damaged_text(WORDS))
@example(text="[" * 1_500)
@example(text="claims: 2020-13-45")
@example(text="claims: !!int x")
@example(text="claims: !!bool x")
@example(text="claims: &a [*a]")
@example(text="claims: [&a {id: *a}]")
@example(text=BOMB)
@example(text=MERGED)
def test_any_text(folder: Path, text: str) -> None:
    read(folder, text)


@cases(30_000)
@given(entry=changed(*ENTRIES))
def test_damaged_claims(entry: Any) -> None:
    try:
        validate(Claim, entry, "claims.yaml: claim 'x'")
    except ConfigError as error:
        assert "\n" not in str(error)


@cases(1_500)
@given(entries=changed(SMALL) | values, reported=changed(REPORTED))
def test_damaged_files(folder: Path, entries: Any, reported: Any) -> None:
    read(folder, yaml.safe_dump({"claims": entries}), yaml.safe_dump(reported))
