"""The command `raml`. Each command imports what it needs when it runs, so that `raml --help` starts at once."""

import sys
import warnings
from typing import Annotated

import typer

import raml
from raml.cli import claims, landscape, probe
from raml.errors import RamlError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reasoning as meta-learning, reproduced.",
)
app.command()(claims.claims)
app.command()(probe.probe)
app.command()(landscape.landscape)
app.command()(landscape.landscape)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Options that need no command."""
    if version:
        typer.echo(f"raml {raml.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; exit 0, 1 (failed) or 2 (bad input), with one line on stderr for each warning and error."""
    warnings.showwarning = _show_warning
    try:
        app()
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """One line on stderr, above a progress line that is being drawn."""
    from tqdm import tqdm

    tqdm.write(f"warning: {message}", file=sys.stderr)
