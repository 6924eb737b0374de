import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_results import CLAIMS, HOSTILE, Results

import raml
from raml.config import load_scale
from raml.errors import DataError
from raml.report.build import read_lock
from raml.report.exhibit import Column
from raml.report.models import parameter_count
from raml.report.numbers import MINUS
from raml.report.page import environment, inline_svg, label, reported, runs
from raml.storage import write_text

SCALES = Path(__file__).parents[2] / "config" / "scales"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on a tag that closes another one's element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += f"{data} "

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.mark.parametrize("scale", ["micro", "paper"])
def test_the_header_names_the_benchmarks_generated_or_published(scale: str) -> None:
    config = load_scale(scale, folder=SCALES)
    header = environment().get_template("header.html.j2").render(scale=config, parameters=1_000_000)
    assert ", ".join(config.benchmarks) in header
    assert ("not on the paper’s models" in header) == (scale == "micro")  # noqa: RUF001
    assert ("starts from Qwen/Qwen2.5-7B, as in the paper" in header) == (scale == "paper")


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def test_the_page_is_balanced_html(page: str, parsed: Page) -> None:
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert parsed.open == []
    assert parsed.tags["h1"] == parsed.tags["main"] == parsed.tags["title"] - 3 == 1  # each figure has a title too
    assert len(parsed.values("id")) == len(set(parsed.values("id")))


def test_every_claim_is_there_with_its_verdict(page: str) -> None:
    labels = {"holds": "Holds", "contradicted": "Contradicted", "inconclusive": "Inconclusive", "not_run": "Not run"}
    for entry in CLAIMS:
        row = re.search(rf'<tr role="row" id="claim-{re.escape(entry["id"])}">(.*?)</tr>', page, re.DOTALL)
        assert row, entry["id"]
        assert f"{labels[entry['verdict']]}</span>" in row[1]
        assert '<svg class="icon"' in row[1]
        assert entry["reason"] in row[1] and entry["command"] in row[1]


def test_measurements_stand_with_interval_and_unit(parsed: Page) -> None:
    text = " ".join(parsed.text.split())
    assert "-7.93 nats/token 95% interval -8.10 to -7.76" in text.replace(MINUS, "-")
    assert "AIME24 P8 36.69" in text  # reported, the wrapper `table2` left out


def test_the_banner_says_at_what_scale(parsed: Page) -> None:
    text = " ".join(parsed.text.split())
    assert "Measured at minimal scale, not on the paper’s models." in text  # noqa: RUF001
    assert "120 parameters" in text


def test_nothing_comes_from_elsewhere(page: str, parsed: Page) -> None:
    links = [link for name in ("href", "src", "xlink:href", "srcset", "action") for link in parsed.values(name)]
    assert links and not [link for link in links if re.match(r"([a-z]+:)?//|https?:", link)]
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", page)
    assert parsed.tags["script"] == parsed.tags["iframe"] == parsed.tags["img"] == 0
    assert any("default-src 'none'" in value for value in parsed.values("content"))


def test_links_lead_somewhere(results: Results, parsed: Page) -> None:
    targets = {f"#{identity}" for identity in parsed.values("id")}
    for link in [*parsed.values("href"), *parsed.values("xlink:href")]:
        if link.startswith("#"):
            assert link in targets
        elif not link.startswith("data:"):
            assert (results.root / "report" / link).is_file(), link


def test_hostile_text_is_only_text(page: str, parsed: Page) -> None:
    assert "<script" not in page
    assert f"statement of fig3 {HOSTILE}" in parsed.text
    assert f"A +0 +1 ; $x$ {HOSTILE} rows ?" in parsed.text


def test_tables_and_sections_are_labelled(parsed: Page) -> None:
    assert parsed.tags["caption"] == parsed.tags["table"] > 6
    assert all("scope" in attributes for tag, attributes in parsed.elements if tag == "th")
    ids = set(parsed.values("id"))
    assert all(label in ids for value in parsed.values("aria-labelledby") for label in value.split())


def test_figures_follow_the_theme(page: str) -> None:
    assert "var(--series-1)" in page and "prefers-color-scheme: dark" in page
    assert not re.search(r'style="[^"]*fill: #[0-9a-f]{6}', page)


def test_provenance_is_complete(results: Results, parsed: Page) -> None:
    assert all(path.as_posix() in parsed.text for path in [*results.curves, results.metrics])
    assert {"c0ffee000000", "0.1.0+abc", "torch", "2.13.0"} <= set(parsed.text.split())


def test_the_same_results_give_the_same_bytes(results: Results, page: str) -> None:
    assert results.build().read_text(encoding="utf-8") == page


def test_a_missing_claims_file_ends_with_one_line(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        results.build(claims=tmp_path / "claims.json", out=tmp_path / "index.html")
    assert capsys.readouterr().err.startswith("error: --claims")
    assert not (tmp_path / "index.html").exists()


def test_a_half_written_figure_is_refused(tmp_path: Path) -> None:
    write_text("<svg><g>", tmp_path / "fig3.svg")
    with pytest.raises(DataError, match="not a whole SVG"):
        inline_svg(tmp_path / "fig3.svg")
    with pytest.raises(DataError, match="cannot be read"):
        inline_svg(tmp_path / "fig16.svg")


def test_weights_and_locks_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.safetensors is missing or not safetensors"):
        parameter_count(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="not safetensors"):
        parameter_count(tmp_path)
    write_text("left-pad==1.0\n", tmp_path / "lock")
    with pytest.raises(DataError, match="pins none of"):
        read_lock(tmp_path / "lock")


def test_labels_and_reported_values() -> None:
    assert [label(name) for name in ("fig16", "tab2", "prop2.1", "sec4.3", "odd")] == [
        "Figure 16",
        "Table 2",
        "Proposition 2.1",
        "Section 4.3",
        "odd",
    ]
    values = {"figure9": {"steps": [1, 2], "values": None}, "sft_long": {"P8": 36.69}}
    assert reported(values) == [("steps", "1, 2"), ("sft long P8", "36.69")]
    assert reported(None) == []


def test_neighbouring_columns_share_a_heading() -> None:
    columns = [
        Column(heading=heading, group=group) for heading, group in (("x", "a"), ("y", "a"), ("x", "b"), ("x", "a"))
    ]
    assert [(column.group, width) for column, width in runs(columns, "group")] == [("a", 2), ("b", 1), ("a", 1)]


def test_building_the_page_draws_nothing() -> None:
    code = "import sys, raml.report.build; print({'matplotlib', 'torch', 'transformers'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(Path(raml.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "set()\n", done.stderr
