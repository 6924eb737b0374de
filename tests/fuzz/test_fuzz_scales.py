"""Whatever a scale's file or `--config` holds, it is a scale, of which all runs can be listed, or one line."""

import errno
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fuzzing import cases, changed, damaged_text
from hypothesis import example, given
from hypothesis import strategies as st

from raml import runs
from raml.cli.options import read_assignment
from raml.cli.plan import overrides, plan_costs
from raml.config import Scale, canonical_json, load_scale, validate
from raml.errors import ConfigError, InputError

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

SCALES = Path(__file__).parents[2] / "config" / "scales"
GOOD = {
    name: yaml.safe_load((SCALES / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("minimal", "micro", "paper")
}
WORDS = [
    "scale: odd", "extends: minimal", "extends: odd", "extends: ", "seeds: [0]", "\n", "  ", "- ", ": ", "&a ", "*a",
    "<<: *a", "!!float ", "!!python/name:os.system", "2020-13-45", "[", "]", "{", "}", '"', "|", "null", "~", ",",
    "hardware: {launcher: ddp_cpu}", "hardware: {launcher: ../scales/minimal}", ".inf", "1e400", "0777", "#",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config") / "scales"
    folder.mkdir()
    (folder / "minimal.yaml").write_text("scale: minimal\nseeds: [0]\n")
    return folder


@cases(10_000)
@given(text=damaged_text(WORDS))
@example(text="[" * 1_500)
@example(text="seeds: 2020-13-45")
@example(text="seeds: !!int x")
@example(text="seeds: &a [*a]")
@example(text="extends: [1]")
@example(text="extends: " + "a" * 300)
@example(text="? [a]\n: b")
def test_any_text(folder: Path, text: str) -> None:
    (folder / "odd.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_scale("odd", folder=folder)
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) < 20_000
    except OSError as error:  # of a scale's name; `raml` and `snakemake` make one line of it
        assert error.errno == errno.ENAMETOOLONG


@cases(15_000)
@given(raw=changed(*GOOD.values()))
def test_damaged_scales(raw: Any) -> None:
    try:
        scale = validate(Scale, raw, "odd.yaml")
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    canonical_json(scale)
    runs.batches(scale), runs.series(scale), runs.regimes(scale), runs.sampled_together(scale)
    try:
        plan_costs(scale)
    except InputError as error:
        assert "\n" not in str(error)


@cases(5_000)
@given(assignments=st.lists(damaged_text(["a.b", "=", "seeds=", "[0]", "sft.long", "{", "&a [*a]", "'"]), max_size=3))
@example(assignments=["a=2020-13-45"])
@example(assignments=["a=" + "[" * 1_500])
def test_assignments(assignments: list[str]) -> None:
    try:
        overrides(map(read_assignment, assignments))
    except (InputError, typer.BadParameter) as error:
        assert "\n" not in str(error).replace(repr(assignments), "")
