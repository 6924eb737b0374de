import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import html5lib
import numpy as np
import pytest
from safetensors.numpy import save_file

import raml
from raml.config import load_scale
from raml.errors import DataError
from raml.report import models
from raml.report.build import read_lock
from raml.report.exhibit import Column
from raml.report.models import facts, read_models
from raml.report.numbers import MINUS
from raml.report.page import claim_name, environment, in_git, inline_svg, label, reported, runs
from raml.storage import write_json, write_text
from report_results import CLAIMS, EXHIBITS, FACTS, HOSTILE, TURNED, Results, step

SCALES = Path(__file__).parents[2] / "config" / "scales"


class Page:
    """A page by the parser of the WHATWG specification, which names every error that browsers mend in silence."""

    def __init__(self, text: str) -> None:
        parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        root = parser.parse(text)
        self.errors = parser.errors
        self.elements = [(one.tag, one.attrib) for one in root.iter() if isinstance(one.tag, str)]
        self.tags = Counter(tag for tag, _ in self.elements)
        for one in [*root.iter("style"), *root.iter("script")]:
            one.text = ""
        words = " ".join(root.itertext())
        self.text = " ".join(words.split()).replace(MINUS, "-").replace("\N{EN DASH}", "-")

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements for key, value in attributes.items() if key.endswith(name)]


@pytest.fixture(scope="module")
def parsed(pages: dict[str, str]) -> dict[str, Page]:
    return {name: Page(text) for name, text in pages.items()}


@pytest.fixture(scope="module")
def text(parsed: dict[str, Page]) -> str:
    """The first page's words."""
    return parsed["index"].text


@pytest.mark.parametrize("scale", ["micro", "paper"])
def test_the_header_names_the_benchmarks_generated_or_published(scale: str) -> None:
    config = load_scale(scale, folder=SCALES)
    header, facts = (
        environment().get_template(f"{name}.html.j2").render(scale=config, parameters=1_000_000)
        for name in ("header", "facts")
    )
    assert ", ".join(config.benchmarks) in facts
    assert ("not on the paper’s models" in header) == (scale == "micro")  # noqa: RUF001
    assert ("starts from Qwen/Qwen2.5-7B, as in the paper" in header) == (scale == "paper")


def test_there_is_a_valid_page_for_each_exhibit_and_for_the_whole(
    pages: dict[str, str], parsed: dict[str, Page]
) -> None:
    assert set(pages) == {"index", "provenance", "scales", "trajectories", *EXHIBITS}
    for name, page in parsed.items():
        assert page.errors == [], name
        assert page.tags["h1"] == page.tags["main"] == 1, name
        ids = page.values("id")
        assert len(ids) == len(set(ids)), name
        assert page.tags["caption"] == page.tags["table"]
        assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
        assert all(label in ids for value in page.values("aria-labelledby") for label in value.split())


def test_every_claim_is_there_with_its_verdict_and_effects(pages: dict[str, str], text: str) -> None:
    labels = {"holds": "Holds", "contradicted": "Contradicted", "inconclusive": "Inconclusive", "not_run": "Not run"}
    cards = dict(card.split('"', 1) for card in pages["index"].split('id="claim-')[1:])
    assert list(cards) == [entry["id"] for entry in CLAIMS]
    for entry in CLAIMS:
        card = cards[entry["id"]]
        assert f"{labels[entry['verdict']]}</span>" in card
        assert all(entry[part] in card for part in ("reason", "limits", "command"))
        assert card.count('role="rowheader"') == len(entry["effects"])
        assert card.count('<svg class="strip') == sum(effect["interval"] is not None for effect in entry["effects"])
    assert "fall: SFT long nats/token -7.93 -8.10 to -7.76 below -0.3 6 2 Holds" in text
    assert "The effects that decide: all of them must be as claimed" in text
    assert "Reported sft long AIME24 P8 36.69" in text
    assert "Deciding it takes a second model Scales that can decide it small, paper" in text
    assert re.search(r"AIME24 P8 36.69 33.2 .* no ", text)


def test_what_stands_after_correction_leads(text: str) -> None:
    assert "After correction for 3 tests, 1 verdict stands: Figure 3 (holds, by construction)." in text
    assert "Holds: 0, and 1 by construction" in text
    assert "Contradicted inconclusive after correction p = 0.060, uncorrected 0.020" in text


def test_the_forest_has_every_effect_twice_and_in_files(results: Results, pages: dict[str, str]) -> None:
    assert pages["index"].count("All effects against their thresholds</title>") == 2
    for name in ("forest", "forest-narrow"):
        svg = results.figure(name).read_text(encoding="utf-8")
        assert svg.count("stroke-width: 2.2") == 3  # an interval each; one effect has none
        assert svg.count("no interval") == 1 and svg.count("not run") == 2
        assert "Holds after correction; by" in svg and "Contradicted before correction" in svg


def test_tables_can_be_had_as_csv(pages: dict[str, str]) -> None:
    def download(page: str, name: str) -> list[list[str]]:
        address = re.search(rf'download="{name}.csv" href="data:text/csv;charset=utf-8,([^"]*)"', pages[page])
        assert address
        return list(csv.reader(io.StringIO(unquote(address[1]))))

    header = ["group", "x", "here, rows, a", "here, rows, a, lower", "here, rows, a, upper", "here, rows, b"]
    assert download("fig3", "Means") == [header, ["all", "one", "-7934.5", "-8100", "1.5", HOSTILE]]
    effects = download("index", "claims")
    assert effects[2][:7] == ["fig3", "fall: SFT long", "nats/token", "-7.934", "-8.1", "-7.76", "below"]
    assert {row[0] for row in download("fig16", "fig16-effects")} == {"claim", "fig16"}
    assert download("provenance", "models")[1] == ["base", "0", "120", FACTS[0]["sha256"]]
    assert len(download("provenance", "measurements")) == 4


def test_scales_stand_side_by_side_even_if_their_files_are_older(results: Results, tmp_path: Path) -> None:
    old = {"id": "fig3", "verdict": "holds", "verdict_holm": None, "measured": 0.3, "details": {}}
    new = CLAIMS[2] | {"command": "x"}
    others = [tmp_path / f"{name}/claims.json" for name in ("old", "minimal", "broken", "other")]
    for path, content in zip(others, ([old], [], [], [new]), strict=True):
        write_json(content, path)
    others[2].write_text("{")
    results.build(tmp_path / "report", others=others)
    text = Page((tmp_path / "report/scales.html").read_text(encoding="utf-8")).text
    assert f"Figure 3 {CLAIMS[1]['statement']} minimal Holds Holds fall: SFT long: -7.93 (-8.10 to -7.76)" in text
    assert "6 questions, 2 seeds broken - - - old - - - other - - -" in text
    assert "other Contradicted Inconclusive fall: SFT long: -4.0" in text


def test_the_banner_says_at_what_scale(text: str) -> None:
    assert "Measured at minimal scale, not on the paper’s models." in text  # noqa: RUF001
    assert "120 parameters" in text


def test_nothing_comes_from_elsewhere(pages: dict[str, str], parsed: dict[str, Page]) -> None:
    for name, page in parsed.items():
        links = [link for key in ("href", "src", "srcset", "action") for link in page.values(key)]
        assert links and not [link for link in links if re.match(r"([a-z]+:)?//|https?:", link)]
        assert not re.search(r"url\(\s*['\"]?(?!#)|@import", pages[name])
        assert page.tags["iframe"] == page.tags["img"] == page.tags["link"] - 1 == 0
        policy = next(value for value in page.values("content") if "default-src" in value)
        assert "default-src 'none'" in policy and "unsafe-eval" not in policy
        assert "script-src 'unsafe" not in policy and "http" not in policy
        assert page.tags["script"] == 0 or "script-src 'sha256-" in policy


def test_links_lead_to_what_comes_with_a_clone(results: Results, parsed: dict[str, Page]) -> None:
    links = {(name, link) for name, page in parsed.items() for link in page.values("href") if link[:5] != "data:"}
    for name, link in links:
        file, _, fragment = link.partition("#")
        target = results.root / "report" / (file.split("?")[0] or f"{name}.html")
        assert target.is_file() and "/probes/" not in link, f"{name}: {link}"
        assert not fragment or fragment in parsed[target.stem].values("id"), f"{name}: {link}"
    assert ("tab2", "../questions.parquet") in links
    assert in_git("results/micro/evaluations/evaluations.parquet") and in_git("results/micro/figures/fig3.svg")
    assert not in_git("results/micro/evaluations/samples/seed0/base.parquet")


def test_hostile_text_is_only_text(pages: dict[str, str], parsed: dict[str, Page]) -> None:
    assert not any("<script>alert" in text for text in pages.values())
    assert f"statement of fig3 {HOSTILE}" in parsed["index"].text
    for name in ("fig3", "trajectories"):
        assert f"A +0 +1 ; $x$ {HOSTILE} {TURNED} rows ?" in parsed[name].text


def test_text_that_turns_directions_stays_among_itself(pages: dict[str, str]) -> None:
    """Only in elements of their own do marks of direction end where the text ends."""
    alone = r"<(td|bdi|desc|title)\b[^>]*>[^<]*$|<(text)\b[^>]*>[^<]*$"
    for name, text in pages.items():
        shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        for found in re.finditer(TURNED, shown):
            assert re.search(alone, shown[: found.start()].replace("&lt;/script&gt;", "")), name


def test_exhibits_and_provenance_are_complete(results: Results, pages: dict[str, str], parsed: dict[str, Page]) -> None:
    assert "var(--series-1)" in pages["fig3"] and "prefers-color-scheme: dark" in pages["fig3"]
    assert not re.search(r'style="[^"]*fill: #[0-9a-f]{6}', pages["fig3"] + pages["index"])
    assert f"snakemake --cores 2 --force {results.figure('fig3')} --config scale=minimal" in pages["fig3"]
    assert "last whole run" in pages["fig3"] and "last whole run" not in pages["tab2"]
    assert pages["tab2"].count("Nothing was measured.") == 1
    text = parsed["provenance"].text
    assert all(path.as_posix() in text for path in [*results.curves, results.questions])
    assert {"c0ffee000000", "0.1.0+abc", "torch", "2.13.0", "000000000000"} <= set(text.split())
    assert "Some <script>" in text and "Linux, glibc 2.36" in text


def test_the_same_results_give_the_same_bytes(results: Results, pages: dict[str, str], tmp_path: Path) -> None:
    folder = results.root / "report"  # links are relative to where the pages lie
    results.build()
    results.lay_out_trajectories()
    assert {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")} == pages


CLAIM, EXHIBIT = "claims.json", "fig3.json"
INFINITE = CLAIMS[1]["effects"][0] | {"interval": [-1.0, float("inf")]}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (CLAIM, None, "^error: --claims"),
        (CLAIM, {"command": "snakemake results/small/claims.json"}, "holds results of scale 'small'"),
        (CLAIM, {"p_holm": float("nan")}, "fig3 has a number that is not finite; `snakemake .*` decides them again"),
        (CLAIM, {"effects": [INFINITE]}, "that is not finite"),
        (EXHIBIT, {"scale": "small"}, "fig3.json is of scale 'small', but this report is of scale 'minimal'"),
        (EXHIBIT, {"sha256": "0" * 12}, "fig3.json is stale: .*curves.parquet has changed since .* `snakemake .*"),
        (EXHIBIT, {"path": "results/minimal/gone"}, "gone, which .*fig3.json was made from, .*scale=minimal` makes it"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    results: Results,
    exhibit_json: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: dict[str, Any] | None,
    message: str,
) -> None:
    given: dict[str, Any] = {"claims": tmp_path / name}
    content: Any = [CLAIMS[1] | (change or {})]
    if name == EXHIBIT:
        given = {"exhibits": [tmp_path / name, *map(results.exhibit, EXHIBITS[1:])]}
        first, *others = exhibit_json["sources"]
        content = exhibit_json | {"scale": change.pop("scale", "minimal")} if change else {}
        content |= {"sources": [first | (change or {}), *others]}
    if change is not None:
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="2"):
        results.build(tmp_path / "report", **given)
    assert not (tmp_path / "report").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_without_its_measurements_an_exhibit_stays_when_effects_change(
    results: Results, exhibit_json: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = exhibit_json["sources"]
    gone, changed = first | {"path": "results/minimal/probes/gone"}, second | {"sha256": "0" * 12}
    effects = tmp_path / "tables" / "effects.parquet"
    effects.parent.mkdir()
    effects.touch()
    given = {"claims": tmp_path / CLAIM, "exhibits": [tmp_path / EXHIBIT, *map(results.exhibit, EXHIBITS[1:])]}
    (tmp_path / CLAIM).write_text(json.dumps([CLAIMS[1]]))
    (tmp_path / EXHIBIT).write_text(json.dumps(exhibit_json | {"sources": [gone, changed | {"path": str(effects)}]}))
    assert results.build(tmp_path / "report", **given).is_file()
    (tmp_path / EXHIBIT).write_text(json.dumps(exhibit_json | {"sources": [gone, changed]}))
    with pytest.raises(SystemExit, match="2"):
        results.build(tmp_path / "again", **given)
    assert "fig3.json is stale" in capsys.readouterr().err


def test_half_written_figures_and_other_locks_are_refused(tmp_path: Path) -> None:
    write_text("<svg><g>", tmp_path / "fig3.svg")
    with pytest.raises(DataError, match="not a whole SVG"):
        inline_svg(tmp_path / "fig3.svg")
    with pytest.raises(DataError, match="cannot be read"):
        inline_svg(tmp_path / "fig16.svg")
    write_text("left-pad==1.0\n", tmp_path / "lock")
    with pytest.raises(DataError, match="pins none of"):
        read_lock(tmp_path / "lock")


def test_facts_of_models_come_from_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "models/seed3/base"
    with pytest.raises(DataError, match=r"model\.safetensors is missing or not safetensors"):
        facts(folder)
    folder.mkdir(parents=True)
    save_file({"w": np.zeros((10, 12), np.float32)}, folder / "model.safetensors")
    files = {"many": ["models"], "outputs": ["out"]}
    step(models, models.Job(), models.Job, files, models=[folder], out=tmp_path / "models.json")
    (one,) = read_models(tmp_path / "models.json")
    assert (one.model, one.seed, one.parameters, len(one.sha256)) == ("base", 3, 120, 64)
    write_json([{"model": "base"}], tmp_path / "models.json")
    with pytest.raises(DataError, match=r"holds no facts of models: 0\.seed: Field required"):
        read_models(tmp_path / "models.json")
    with pytest.raises(DataError, match="is not the folder of a model"):
        facts(tmp_path)


def test_labels_and_reported_values() -> None:
    names = ["Figure 16", "Table 2", "Proposition 2.1", "Section 4.3", "odd"]
    assert [label(name) for name in ("fig16", "tab2", "prop2.1", "sec4.3", "odd")] == names
    assert [claim_name(name) for name in ("fig5", "tab2-grpo")] == ["Figure 5", "Table 2, GRPO"]
    values = {"figure9": {"steps": [1, 2], "values": None}, "sft_long": {"P8": 36.69}}
    assert reported(values) == [("steps", "1, 2"), ("sft long P8", "36.69")]
    assert reported(None) == []


def test_neighbouring_columns_share_a_heading() -> None:
    columns = [Column(heading=one, group=group) for one, group in ("xa", "ya", "xb", "xa")]
    assert [(column.group, width) for column, width in runs(columns, "group")] == [("a", 2), ("b", 1), ("a", 1)]


def test_building_the_page_draws_nothing() -> None:
    code = "import sys, raml.report.build; print({'matplotlib', 'torch', 'transformers'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(Path(raml.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "set()\n", done.stderr
