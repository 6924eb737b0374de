"""The command `raml`. Each command imports what it needs when it runs, so that `raml --help` starts at once."""

import errno
import sys
import warnings
from typing import Annotated

import typer

import raml
from raml.cli import claims, compare, doctor, landscape, plan, probe, restore, status, times, trace, verify
from raml.errors import InputError, RamlError
from raml.redaction import redacted

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reasoning as meta-learning, reproduced.",
)
for command in (
    claims.claims, compare.compare, trace.trace, verify.verify, restore.restore, doctor.doctor, probe.probe,
    landscape.landscape, plan.plan, times.times, status.status,
):  # fmt: skip
    app.command()(command)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Options that need no command."""
    if version:
        typer.echo(f"raml {raml.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit, with one line on stderr for each warning and error.

    The exit code is 0, 1 (failed), 2 (bad input; the help is shown where there was none) or 130 (interrupted).
    """
    warnings.showwarning = _show_warning
    warnings.filterwarnings("ignore", module="transformers|torch|huggingface_hub")  # about their own affairs
    try:
        for number, argument in enumerate(sys.argv[1:], 1):
            if any("\ud800" <= character <= "\udfff" for character in argument):
                raise InputError(f"argument {number} is not UTF-8: {argument!a}")
        sys.exit(app(prog_name="raml", standalone_mode=False))
    except RamlError as error:
        _end(str(error), error.exit_code)
    except typer.TyperException as error:  # the command line does not fit the options
        context = getattr(error, "ctx", None)
        hint = f"; see {context.command_path} --help" if context else ""
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        _end(f"{message}{hint}" if message else "", error.exit_code)
    except typer.Abort:
        _end("interrupted", 130)
    except OSError as error:  # a name that is too long, a full disk, a folder that may not be written
        name = f"{error.filename!s:.80}: " if error.filename else ""
        _end(f"{name}{error.strerror or error}", 2 if error.errno == errno.ENAMETOOLONG else 1)


def _end(message: str, code: int) -> None:
    """`message` is blank where the help was shown instead."""
    if message:
        print(redacted(f"error: {' '.join(message.split())}"), file=sys.stderr)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """One line on stderr, above a progress line that is being drawn."""
    from tqdm import tqdm

    tqdm.write(redacted(f"warning: {message}"), file=sys.stderr)
