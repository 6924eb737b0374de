"""`codecheck.yml`: what a codechecker has to find again after `make reproduce` (https://codecheck.org.uk/spec/config/1.0/).

    python -m raml.lineage.codecheck

writes it from the committed results of micro scale. It holds the authors' part of the specification; who checks, the
report and its certificate are added by the codechecker.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from raml.errors import DataError, RamlError
from raml.lineage.citation import Citation, read_citation
from raml.lineage.crate import title
from raml.storage import write_text

SPECIFICATION: Final = "https://codecheck.org.uk/spec/config/1.0/"
RESULTS: Final = Path("results/micro")
NO_EXHIBITS: Final = ("times", "forest", "forest-narrow")
HEAD: Final = (
    "# Written by `python -m raml.lineage.codecheck` from CITATION.cff and the results. `make reproduce` makes each\n"
    "# file again, byte for byte on the same type of machine; README.md says what else is needed.\n"
)


def manifest(results: Path) -> Iterator[tuple[Path, str]]:
    """Files that a run makes again, with what they show; what is timed on a machine is not among them.

    Raises:
        DataError: there are no figures, or an exhibit beside one cannot be read.
    """
    figures = [path for path in sorted((results / "figures").glob("*.svg")) if path.stem not in NO_EXHIBITS]
    if not figures:
        raise DataError(f"{results}/figures holds no figure; run the workflow first (`make reproduce`)")
    yield results / "claims.json", "Every claim of the paper with what was measured, its interval and the verdict"
    yield results / "figures/forest.svg", "Every claim's effects against their thresholds"
    yield results / "tables/metrics.json", "Pass@k, mG-Pass@k and Avg@k of every model and benchmark"
    for path in figures:
        name = title(path.with_suffix(".json"))
        yield path, name
        if (table := results / "tables" / f"{path.stem}.md").is_file():
            yield table, f"{name.partition(':')[0]}, the numbers"
    yield results / "report/index.html", "The report with all of them"


def text(citation: Citation, results: Path) -> str:
    """The file's content.

    Raises:
        DataError: as `manifest` does.
    """
    authors = [{"name": person.name} for person in citation.authors]
    content = {
        "version": SPECIFICATION,
        "manifest": [{"file": path.as_posix(), "comment": comment} for path, comment in manifest(results)],
        "paper": {"title": citation.paper, "authors": authors, "reference": citation.url},
    }
    return f"%YAML 1.1\n---\n{HEAD}{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)}"


if __name__ == "__main__":
    try:
        write_text(text(read_citation(Path("CITATION.cff")), RESULTS), Path("codecheck.yml"))
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
