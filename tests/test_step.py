from pathlib import Path
from typing import Any

import pytest

import raml
from raml.code import code_digest
from raml.config import Section, config_hash
from raml.errors import ConfigError, DataError, RamlError
from raml.provenance import provenance
from raml.step import Step, check_lengths, run


class Settings(Section):
    rate: float


seen: list[Step[Settings]] = []


def note(step: Step[Settings]) -> None:
    seen.append(step)


def fail(step: Step[Settings]) -> None:
    raise RamlError("the loss is not finite")


def refuse(step: Step[Settings]) -> None:
    raise DataError("x.parquet is truncated")


def arguments(*more: str, config: str = '{"rate": 0.5}') -> list[str]:
    return ["--scale", "micro", "--config", config, *more]


def test_a_step_gets_its_settings_files_and_names(tmp_path: Path) -> None:
    seen.clear()
    here = str(tmp_path)
    words = arguments("--seed", "3", "--base", here, "--sample-files", here, here, "--out", "o/p", "--model", "sft")
    run(note, Settings, inputs=["base"], many=["sample_files"], outputs=["out"], names=["model"], arguments=words)
    (step,) = seen
    assert step.module == __name__
    assert (step.scale, step.seed, step.config.rate) == ("micro", 3, 0.5)
    assert step.files == {"base": tmp_path, "out": Path("o/p")}
    assert step.lists == {"sample_files": [tmp_path, tmp_path]}
    assert step.names == {"model": "sft"}


@pytest.mark.parametrize(
    ("main", "options", "code", "message"),
    [
        (note, {"config": '{"rate": "fast"}'}, 2, "--config: rate = 'fast': "),
        (note, {"config": '{"rate": 1, "colour": 2}'}, 2, "--config: unknown key colour; allowed here: rate"),
        (note, {"config": "{"}, 2, "--config is not JSON"),
        (note, {"samples": ["/", "/none/x.parquet"]}, 2, "--samples = /none/x.parquet does not exist\n"),
        (fail, {}, 1, "the loss is not finite"),
        (refuse, {}, 2, "x.parquet is truncated"),
    ],
)
def test_errors_end_with_one_line(
    main: Any, options: dict[str, Any], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"samples": ["/"], "config": '{"rate": 0.5}', **options}
    words = arguments("--samples", *given["samples"], config=given["config"])
    with pytest.raises(SystemExit) as ended:
        run(main, Settings, many=["samples"], arguments=words)
    error = capsys.readouterr().err
    assert ended.value.code == code
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def test_lists_that_go_together_are_equally_long() -> None:
    check_lengths({"--models": ["a", "b"], "--outs": ["c", "d"]})
    with pytest.raises(ConfigError, match=r"^2 --models, 1 --outs: give as many of each"):
        check_lengths({"--models": ["a", "b"], "--outs": ["c"]})


def test_a_file_says_what_made_it() -> None:
    settings = Settings(rate=1)
    made = provenance("micro", settings, "raml.config", seed=3, model_hash="abc")
    assert (made.scale, made.seed, made.model_hash) == ("micro", 3, "abc")
    assert made.config_hash == config_hash(settings)
    assert made.code_version == f"{raml.__version__}+{code_digest('raml.config')}"
