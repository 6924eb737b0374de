"""Write the world into a folder; exit 2 with one line if that cannot be done."""

import argparse
import sys
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from raml.errors import RamlError
from rehearsal.data import write_data
from rehearsal.models import write_models


def main(arguments: list[str]) -> None:
    """Write data sets and models; those of an earlier call are replaced."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal", description="Write the rehearsal's world.")
    parser.add_argument(
        "out", type=Path, help="folder to write; config/scales/rehearsal.yaml looks in .cache/rehearsal"
    )
    out = parser.parse_args(arguments).out
    disable_progress_bar()
    try:
        write_data(out / "data")
        write_models(out / "models")
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
