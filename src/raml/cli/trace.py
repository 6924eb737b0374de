"""`raml trace`: the chain behind a claim or a file, down to the questions."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raml.lineage.trace import Stage, Trace

SHOWN = 6  # files of a stage on the terminal; --json has all


def trace(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="claims/ID, or a file of the results: tables/tab1.md, figures/fig3.")
    ],
    scale: Annotated[str, typer.Option("--scale", help="The scale, a folder of results/.")] = "micro",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole chain for machines.")] = False,
) -> None:
    """Show where a number comes from: files, rules, commands, configuration, code, seeds and machine.

    The chain goes from the claim or file back to the questions. What is recorded in the files is set against the
    workflow as it is now. Nothing is run, and files that are not here are named with what makes them.
    """
    from raml.config import load_scale
    from raml.lineage.trace import find
    from raml.lineage.trace import trace as follow

    load_scale(find(target, scale).scale)  # an unknown scale ends here, with one line
    found = follow(target, scale)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    _show(found)


def _show(found: "Trace") -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False)

    line(f"{found.target} at scale {found.scale}", "bold")
    if claim := found.claim:
        line(f"{claim.verdict}: {claim.statement}")
        for effect in claim.effects:
            measured = "not measured" if effect.estimate is None else f"{effect.estimate:.4g}"
            interval = f" [{effect.interval[0]:.4g}, {effect.interval[1]:.4g}]" if effect.interval else ""
            line(f"   {effect.label}: {measured}{interval}")
        if claim.verdict == "not_run":
            line(f"nothing was measured: {claim.reason}")
            return
    if found.made_by:
        line(f"{found.path} is measured after a run and made by no rule: {found.made_by}")
    for number, stage in enumerate(found.stages, 1):
        line("")
        seeds = f", seeds {', '.join(map(str, stage.seeds))}" if stage.seeds else ""
        line(f"{number}. {stage.rule}: {stage.jobs} {'job' if stage.jobs == 1 else 'jobs'}{seeds}", "bold")
        for text in _files(stage):
            line(f"   {text}")
        line(f"   config {_against(stage.config_hash, stage.recorded('config_hash'))}")
        line(f"   code   {_against(*stage.code_now_and_recorded())}")
        if models := stage.recorded("model_hash"):
            line(f"   model  {', '.join(models)}, as recorded")
        line(f"   {_short(stage.command)}", "dim")
    line("")
    line(_machine(found))
    if missing := [file.path for stage in found.stages for file in stage.files if not file.here]:
        line(
            f"{len(missing)} files are not here: git keeps small results only. The rule above each makes it and what "
            f"it needs, such as: snakemake --cores 2 {missing[0]} --config scale={found.scale}"
        )


def _files(stage: "Stage") -> list[str]:
    """A line for each kind of file: path, whether it is here, and its hash if it is a single one."""
    from raml.lineage.trace import alike

    lines = []
    for here in (True, False):
        paths = alike(file.path for file in stage.files if file.here == here)
        digests = {file.path: file.sha256 for file in stage.files}
        for path in paths[:SHOWN]:
            digest = f", sha256 {digests[path]}" if digests.get(path) else ""
            lines.append(f"{path}  ({'here' if here else 'not here'}{digest})")
        if len(paths) > SHOWN:
            lines.append(f"and {len(paths) - SHOWN} more ({'here' if here else 'not here'})")
    return lines


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


def _machine(found: "Trace") -> str:
    if found.machine is None:
        return f"machine: not recorded (results/{found.scale}/environment.json is not here; the workflow writes it)"
    return f"machine of the analysis: {found.machine.in_words()}"
