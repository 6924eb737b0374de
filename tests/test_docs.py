"""What guides and README say exists: files behind links, commands, targets of make, scales and options."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from raml.claims.registry import Claim
from raml.cli import app
from raml.config import validate

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]


def code(page: Path) -> list[str]:
    """Lines of code blocks and what stands between backticks, comments left out; continued lines as one."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(?!\s)(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    inline = re.findall(r"(?<!`)`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    lines = [line for block in blocks for line in block.splitlines()] + indented + inline
    return [" ".join(re.sub(r"(^|\s)#.*", "", line).removeprefix("$ ").split()) for line in lines]


def commands(page: Path, program: str) -> list[list[str]]:
    """The words after each call of `program` on the page."""
    found = []
    for line in code(page):
        for part in re.split(r"&&|\||;|\$\(", line):
            words = part.split()
            if words and words[0] == program:
                found.append(split(part)[1:])
    return found


def split(line: str) -> list[str]:
    """Words as a shell has them; of a line that is cut off, as they stand."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), f"{page.name} links to {link}, which is not there"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_of_raml_exist_with_their_options(page: Path) -> None:
    root = typer.main.get_command(app)
    known = root.commands  # type: ignore[attr-defined]
    for words in commands(page, "raml"):
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in known, f"{page.name}: raml {words[0]}"
        options = {name for one in known[words[0]].params for name in [*one.opts, *one.secondary_opts]} | {"--help"}
        for word in words[1:]:
            if re.match(r"--[a-z]", word):
                assert word.partition("=")[0] in options, f"{page.name}: raml {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page, "make"):
        for word in words:
            if re.fullmatch(r"[a-z][a-z-]*", word):
                assert word in targets, f"{page.name}: make {word}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_scales_and_phases_of_snakemake_exist(page: Path) -> None:
    scales = {path.stem for path in (ROOT / "config/scales").glob("*.yaml")} | {"mine"}  # a reader's own
    rules = set(re.findall(r"^rule (\w+):", "".join(p.read_text() for p in ROOT.glob("workflow/rules/*.smk")), re.M))
    for words in commands(page, "snakemake"):
        for word in (word.rstrip("\"'") for word in words):
            if word.startswith("scale="):
                assert word.removeprefix("scale=") in scales | {"{scale}"}, f"{page.name}: {word}"
            if re.fullmatch(r"[a-z]+_phase|measurability|fetch_[a-z]+", word):
                assert word in rules, f"{page.name}: snakemake {word}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_modules_that_are_run_exist(page: Path) -> None:
    for words in commands(page, "python"):
        if words[:1] == ["-m"] and words[1].startswith("raml."):
            module = ROOT / "src" / words[1].replace(".", "/")
            runs = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
            assert runs or "<" in words[1], f"{page.name}: python -m {words[1]}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_of_the_repository_that_are_named_exist(page: Path) -> None:
    for word in re.findall(r"`((?:config|src|docs|workflow|scripts|tests)/[^`\s]*)`", page.read_text(encoding="utf-8")):
        if not re.search(r"[<>{}*]|\.\.\.", word):
            assert (ROOT / word.partition("#")[0]).exists(), f"{page.name}: {word}"


def test_commands_are_found() -> None:
    assert all(sum(len(commands(page, program)) for page in PAGES) > 5 for program in ("raml", "make", "snakemake"))


def test_every_guide_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, page.name


def test_the_claim_of_the_guide_is_valid() -> None:
    text = (ROOT / "docs/add-claim.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (entry,) = yaml.safe_load(f"claims:\n{block}")["claims"]
    assert validate(Claim, entry, "docs/add-claim.md").test is not None
