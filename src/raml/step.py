"""How a step of the workflow is started: `python -m raml.<phase>.<step> --scale S --config JSON --name path ...`.

A step declares its configuration section and its files, and is a function of them:

    def main(step: Step[SFT]) -> None: ...

    if __name__ == "__main__":
        run(main, SFT, inputs=["base", "trajectories"], outputs=["out"])

Errors that we can name end with one line on stderr and the exit code of `raml.errors`.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from raml.config import Section, validate
from raml.ending import end_with
from raml.errors import ConfigError, RamlError
from raml.provenance import provenance
from raml.redaction import redacted
from raml.storage import Provenance

C = TypeVar("C", bound=Section)

WORKFLOW_PID = "RAML_WORKFLOW_PID"
PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Step(Generic[C]):
    """What a step was given. `files` holds inputs and outputs by name, `lists` those of several files each."""

    module: str
    scale: str
    config: C
    seed: int
    files: dict[str, Path]
    names: dict[str, str]
    lists: dict[str, list[Path]] = field(default_factory=dict)
    name_lists: dict[str, list[str]] = field(default_factory=dict)

    def provenance(self, *, model_hash: str | None = None) -> Provenance:
        """The provenance to store in this step's outputs."""
        return provenance(self.scale, self.config, self.module, seed=self.seed, model_hash=model_hash)


def run(
    main: Callable[[Step[C]], None],
    config: type[C],
    *,
    inputs: Sequence[str] = (),
    many: Sequence[str] = (),
    many_or_none: Sequence[str] = (),
    outputs: Sequence[str] = (),
    many_outputs: Sequence[str] = (),
    names: Sequence[str] = (),
    many_names: Sequence[str] = (),
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse the command line, validate the section and call `main`; exit 0, 1 or 2.

    Args:
        inputs: names of files or folders that must exist.
        many: names of inputs that take one or more files or folders (one a seed, say); all must exist.
        many_or_none: as `many`, but there may be none.
        outputs: names of files or folders that `main` writes.
        many_outputs: names of outputs that are one or more files or folders.
        names: names of plain string arguments (a model's name, a style).
        many_names: names of arguments that are one or more plain strings.
        arguments: the command line, for tests; `sys.argv[1:]` by default.
    """
    module = sys.modules[main.__module__].__spec__
    name = module.name if module else main.__module__
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=sys.modules[main.__module__].__doc__)
    parser.add_argument("--scale", required=True, help="the scale's name")
    parser.add_argument("--config", required=True, help=f"the section {config.__name__} as JSON")
    parser.add_argument("--seed", type=int, default=0)
    for option in [*inputs, *outputs, *names]:
        parser.add_argument(f"--{option.replace('_', '-')}", required=True)
    for option in [*many, *many_outputs, *many_names]:
        parser.add_argument(f"--{option.replace('_', '-')}", required=True, nargs="+")
    for option in many_or_none:
        parser.add_argument(f"--{option.replace('_', '-')}", default=[], nargs="*")
    values = vars(parser.parse_args(arguments))
    sys.excepthook = _show_exception
    if WORKFLOW_PID in os.environ:
        end_with(int(os.environ[WORKFLOW_PID]))
    try:
        step = Step(
            module=name,
            scale=values["scale"],
            config=validate(config, _json(values["config"]), "--config"),
            seed=values["seed"],
            files={option: Path(values[option]) for option in [*inputs, *outputs]},
            names={option: values[option] for option in names},
            lists={
                option: [Path(value) for value in values[option]] for option in [*many, *many_or_none, *many_outputs]
            },
            name_lists={option: values[option] for option in many_names},
        )
        given = [(option, path) for option in [*many, *many_or_none] for path in step.lists[option]]
        for option, path in [*((option, step.files[option]) for option in inputs), *given]:
            if not path.exists():
                raise ConfigError(f"--{option} = {path} does not exist")
        main(step)
    except RamlError as error:
        _report(f"error: {error}")
        sys.exit(error.exit_code)


def check_lengths(lists: Mapping[str, Sequence[object]]) -> None:
    """Make sure that lists of which the first items belong together, and the second, are equally long.

    Args:
        lists: by what the command line or the configuration calls them.

    Raises:
        ConfigError: they are not.
    """
    if len({len(values) for values in lists.values()}) > 1:
        found = ", ".join(f"{len(values)} {name}" for name, values in lists.items())
        raise ConfigError(f"{found}: give as many of each, they go together one by one")


def _report(line: str) -> None:
    """Print `line` once, even if it is met by every process of `accelerate launch`.

    The launcher ends all processes when one has ended, so the others let the first one speak. It then prints a
    traceback of its own; in that it repeats what it finds in the file that it gave each process for its error.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(PATIENCE)  # longer than that: the error is not the first process's
    line = redacted(line)
    print(line, file=sys.stderr, flush=True)
    if told := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        about = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(told).write_text(json.dumps({"message": {"message": line, "extraInfo": about}}))


def _show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints of an error that nobody expected, without secrets: it goes into the job's log."""
    print(redacted("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--config is not JSON: {error}") from None
