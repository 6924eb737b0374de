"""`raml trace`: the chain behind a claim or a file, down to the questions."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from raml.cli.options import Json, Scale
from raml.cli.output import print_json, print_line
from raml.report.numbers import count

if TYPE_CHECKING:
    from raml.lineage.trace import Stage, Trace

SHOWN = 6  # files of a stage on the terminal; --json has all


def trace(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="claims/ID, or a file of the results: tables/tab1.md, figures/fig3.")
    ],
    scale: Scale = "micro",
    as_json: Json = False,
) -> None:
    """Show where a number comes from: files, rules, commands, configuration, code, seeds and machine.

    The chain goes from the claim or file back to the questions. What is recorded in the files is set against the
    workflow as it is now. Nothing is run, and files that are not here are named with what makes them.
    """
    from raml.config import load_scale
    from raml.lineage.trace import find
    from raml.lineage.trace import trace as trace_back

    load_scale(find(target, scale).scale)  # an unknown scale ends here, with one line
    chain = trace_back(target, scale)
    if as_json:
        print_json(chain)
    else:
        _print(chain)


def _print(chain: "Trace") -> None:
    print_line(f"{chain.target} at scale {chain.scale}", style="bold")
    if claim := chain.claim:
        print_line(f"{claim.verdict}: {claim.statement}")
        for effect in claim.effects:
            measured = "not measured" if effect.estimate is None else f"{effect.estimate:.4g}"
            interval = f" [{effect.interval[0]:.4g}, {effect.interval[1]:.4g}]" if effect.interval else ""
            print_line(f"   {effect.label}: {measured}{interval}")
        if claim.verdict == "not_run":
            print_line(f"nothing was measured: {claim.reason}")
            return
    if chain.made_by:
        print_line(f"{chain.path} is measured after a run and made by no rule: {chain.made_by}")
    for number, stage in enumerate(chain.stages, 1):
        seeds = f", seeds {', '.join(map(str, stage.seeds))}" if stage.seeds else ""
        print_line(f"\n{number}. {stage.rule}: {count(stage.jobs, 'job')}{seeds}", style="bold")
        for line in _files(stage):
            print_line(f"   {line}")
        print_line(f"   config {_against(stage.config_hash, stage.recorded('config_hash'))}")
        print_line(f"   code   {_against(*stage.code_now_and_recorded())}")
        if models := stage.recorded("model_hash"):
            print_line(f"   model  {', '.join(models)}, as recorded")
        print_line(f"   {_short(stage.command)}", style="dim")
    unknown = f"not recorded (results/{chain.scale}/environment.json is not here; the workflow writes it)"
    print_line(f"\nmachine of the analysis: {chain.machine.in_words() if chain.machine else unknown}")
    if missing := [file.path for stage in chain.stages for file in stage.files if not file.here]:
        print_line(
            f"{len(missing)} files are not here: git keeps small results only. The rule above each makes it and what "
            f"it needs, such as: snakemake --cores 2 {missing[0]} --config scale={chain.scale}"
        )


def _files(stage: "Stage") -> Iterator[str]:
    """A line for each kind of file: path, whether it is here, and its hash if it is a single one."""
    from raml.lineage.trace import alike

    digests = {file.path: f", sha256 {file.sha256}" for file in stage.files if file.sha256}
    for here, where in ((True, "here"), (False, "not here")):
        paths = alike(file.path for file in stage.files if file.here == here)
        for path in paths[:SHOWN]:
            yield f"{path}  ({where}{digests.get(path, '')})"
        if len(paths) > SHOWN:
            yield f"and {len(paths) - SHOWN} more ({where})"


def _against(now: str, recorded: list[str]) -> str:
    """A hash of the workflow as it is beside what the files say."""
    if not recorded:
        return f"{now} now; the files record none themselves"
    if recorded == [now]:
        return f"{now}, as recorded"
    return f"recorded {', '.join(recorded)}; now {now}"


def _short(command: str) -> str:
    """The command without the configuration's text, which `--json` has."""
    words = shlex.split(command)
    if "--config" in words:
        words[words.index("--config") + 1] = "..."
    return shlex.join(words)
