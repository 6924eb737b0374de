"""The jobs behind a file, from Snakemake's own graph: rule, command, configuration, inputs. Nothing is run.

Snakemake's Python interface gives the graph of a dry run; `tests/lineage/test_trace.py` holds it to the pinned version.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

import raml
from raml.code import code_digest
from raml.errors import InputError

# What no rule makes, since it is of a machine and not of the measurements.
BY_HAND: Final = {"times.json": "raml times --scale {scale} --save", "bench.json": "make bench"}


class Made(BaseModel, frozen=True):
    """How files are made: `config_hash` is that of the section that a job is given, `code_version` of its code now.

    `code` is the digest that Snakemake is given: without the modules that the scale does not use.
    """

    rule: str
    module: str
    command: str
    config_hash: str
    code_version: str
    code: str


class Job(Made, frozen=True):
    """One job of the workflow."""

    seed: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def jobs_behind(target: str, scale: str, artifacts: Sequence[str] = (), *, drawn: bool = False) -> list[Job]:
    """All jobs that the file `target` takes from nothing, each after those that need what it makes.

    Args:
        target: path of an output.
        scale: the scale.
        artifacts: if the job of `target`, or one right before it, takes some of these, only what is behind them counts.
        drawn: what is behind all `artifacts` counts, figures that `target` does not take included.

    Raises:
        InputError: there is no Snakefile here, or no rule makes one of the targets.
    """
    if not Path("Snakefile").is_file():
        raise InputError("there is no Snakefile here; run the command in a checkout of the repository")
    targets = {target, *artifacts} if drawn else {target}
    makers = {path: job for job in _graph(targets, scale) for path in job.outputs}
    last = makers[target]
    if drawn:
        return _in_order(_only(last, artifacts), makers)
    takers = [last, *(makers[path] for path in last.inputs if path in makers)]  # quantities stand between
    for taker in takers:
        if behind := [path for path in taker.inputs if path in artifacts]:
            makers |= dict.fromkeys(taker.outputs, _only(taker, behind))
    return _in_order(makers[target], makers)


def option(command: str, name: str) -> list[str]:
    """The values of the option `--name` of a command; none if it has no such option."""
    words = shlex.split(command)
    after = words[words.index(f"--{name}") + 1 :] if f"--{name}" in words else []
    return [*takewhile(lambda word: not word.startswith("--"), after)]


def _only(job: Job, inputs: Sequence[str]) -> Job:
    return job.model_copy(update={"inputs": tuple(inputs)})


def _in_order(last: Job, makers: Mapping[str, Job]) -> list[Job]:
    """Jobs from the last to the first: a job stands after every job that takes its outputs."""
    finished: dict[Job, None] = {}

    def visit(job: Job) -> None:
        for maker in [makers[path] for path in reversed(job.inputs) if path in makers]:
            if maker not in finished:
                visit(maker)
        finished[job] = None

    visit(last)
    return [*reversed(finished)]


def _graph(targets: set[str], scale: str) -> list[Job]:
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import MissingRuleException
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as snakemake:
        workflow = snakemake.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(config={"scale": scale}),
            snakefile=Path("Snakefile"),
        )
        try:
            # All jobs, whatever is there already: the graph is of how a file is made.
            workflow.dag(DAGSettings(targets=targets, forceall=True)).execute_workflow(executor="dryrun")
        except MissingRuleException:
            raise InputError(
                f"no rule of scale {scale} makes {' or '.join(sorted(targets))}; name claims/<id>, figures/<exhibit>, "
                f"tables/<name> or another file below results/{scale}"
            ) from None
        return [_job(job) for job in workflow._workflow.dag.jobs if job.is_shell and job.output]


def _job(job: Any) -> Job:
    command = " ".join(str(job.shellcmd).split()).rpartition(" > ")[0]  # without where its log goes
    module = next(word for word in shlex.split(command) if word.startswith("raml."))  # accelerate starts some
    return Job(
        rule=job.rule.name,
        module=module,
        command=command,
        # `raml.config.config_hash` of the section: rules pass it on in its canonical form.
        config_hash=hashlib.sha256(str(job.params.config).encode()).hexdigest()[:12],
        code_version=f"{raml.__version__}+{code_digest(module)}",
        code=str(job.params.code),
        seed=int(job.wildcards_dict["seed"]) if "seed" in job.wildcards_dict else None,
        inputs=tuple(map(str, job.input)),
        outputs=tuple(map(str, job.output)),
    )
