"""`snakemake --lint` without the one lint that does not apply here; exit 1 if others are left.

*Specify a conda environment or container for each rule*: all rules share the environment that
requirements/core.lock pins and `make` sets up; there is nothing more to name for each rule.
"""

import subprocess
import sys
from pathlib import Path

EXPLAINED = {"Specify a conda environment or container for each rule."}


def main(arguments: list[str]) -> int:
    """Run the linter with `arguments` and print what is left of its findings, one a line."""
    snakemake = Path(sys.executable).with_name("snakemake")
    ran = subprocess.run([snakemake, "--lint", *arguments], capture_output=True, text=True)
    if "Lints for " not in ran.stderr:
        print(ran.stderr.strip())
        return ran.returncode
    left = unexplained(ran.stderr)
    print("\n".join(left) if left else "snakemake --lint: nothing but what workflow/lint.py explains")
    return 1 if left else 0


def unexplained(report: str) -> list[str]:
    """The findings of a lint report that `EXPLAINED` does not name, each with its rule or file."""
    where, left = "", []
    for line in report.splitlines():
        if line.startswith("Lints for "):
            where = line.removeprefix("Lints for ")
        elif line.startswith("    * ") and (title := line[6:].rstrip(":")) not in EXPLAINED:
            left.append(f"{where} {title}")
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
