"""The jobs behind a file, from Snakemake's own graph: rule, command, configuration, inputs. Nothing is run.

Snakemake's Python interface gives the graph of a dry run; `tests/lineage/test_trace.py` holds it to the pinned version.
"""

import hashlib
import shlex
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import raml
from raml.code import code_digest
from raml.errors import InputError

# What no rule makes, since it is of a machine and not of the measurements.
BY_HAND: Final = {"times.json": "raml times --scale {scale} --save", "bench.json": "make bench"}


@dataclass(frozen=True)
class Job:
    """One job of the workflow: `config_hash` is that of the section it is given, `code_version` of its code now.

    `code` is the digest that Snakemake is given: without the modules that the scale does not use.
    """

    rule: str
    module: str
    command: str
    config_hash: str
    code_version: str
    code: str
    seed: int | None
    inputs: list[str] = field(compare=False)
    outputs: list[str] = field(compare=False)


def jobs_behind(target: str, scale: str, inputs: Collection[str] = ()) -> list[Job]:
    """All jobs that the file `target` takes from nothing, each after those that need what it makes.

    Args:
        target: path of an output.
        scale: the scale.
        inputs: if the job of `target` takes some of these, only what is behind them counts.

    Raises:
        InputError: there is no Snakefile here, or no rule makes one of the targets.
    """
    makers = _makers_of({target}, scale)
    last = makers[target]
    if few := [path for path in last.inputs if path in inputs]:
        last = replace(last, inputs=few)
    return _in_order(last, makers)


def claim_jobs(claims: str, artifacts: Collection[str], scale: str) -> tuple[Job, list[Job]]:
    """The job that decides claims, and all jobs that the artifacts of one of them take, each before who needs it.

    Args:
        claims: path of the decided claims.
        artifacts: paths of the claim's tables and figures.
        scale: the scale.

    Raises:
        InputError: as `jobs_behind`.
    """
    makers = _makers_of({claims, *artifacts}, scale)
    return makers[claims], _in_order(replace(makers[claims], inputs=[*artifacts]), makers)[:0:-1]


def _makers_of(targets: set[str], scale: str) -> dict[str, Job]:
    """The job that makes each file that the targets take."""
    if not Path("Snakefile").is_file():
        raise InputError("there is no Snakefile here; run the command in a checkout of the repository")
    return {path: job for job in _graph(targets, scale) for path in job.outputs}


def _in_order(last: Job, makers: dict[str, Job]) -> list[Job]:
    """Jobs from the last to the first: a job stands after every job that takes its outputs."""
    takers: dict[int, int] = {}
    waiting, seen = [last], {id(last)}
    while waiting:
        for maker in _makers(waiting.pop(), makers):
            takers[id(maker)] = takers.get(id(maker), 0) + 1
            if id(maker) not in seen:
                seen.add(id(maker))
                waiting.append(maker)
    ready = deque([last])
    found: list[Job] = []
    while ready:
        job = ready.popleft()
        found.append(job)
        for maker in _makers(job, makers):
            takers[id(maker)] -= 1
            if not takers[id(maker)]:
                ready.append(maker)
    return found


def _makers(job: Job, makers: dict[str, Job]) -> list[Job]:
    """The jobs that make the inputs of `job`, each once."""
    return list({id(makers[path]): makers[path] for path in job.inputs if path in makers}.values())


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
        inputs=[str(path) for path in job.input],
        outputs=[str(path) for path in job.output],
    )
