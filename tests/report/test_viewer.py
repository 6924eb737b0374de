"""The page of a trajectory as text; what it does in a browser is in tests/browser."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from raml.errors import DataError
from raml.report.theme import DARK, LIGHT, contrast
from raml.report.charts.svg import drawing
from raml.report.viewer import LEVELS, MOST_ANSWERS, Followed, Series, Viewer, viewer_page
from raml.report.viewer_figure import COLOURS, legend_columns
from raml.report.viewer_figure import _draw as draw

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028"
VIEWER = Viewer(
    model="m",
    question="1 + 1 = <b>?</b>",
    facts=[("Precision", "float32 on cpu")],
    series=[Series("thinking", "2", True), Series("no_thinking", "2", True)],
    trajectories=[
        Followed("a", ["one ", HOSTILE, "", "\n"], [0, 1, 2, 3, 4], [[2.0, 1.0, 1.5, 1.5, 0.25], [3, 3, 3, 3, 3.0]])
    ],
)


@pytest.fixture(scope="module")
def page() -> str:
    return viewer_page(VIEWER)


def element(page: str, pattern: str) -> str:
    found = re.findall(pattern, page, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def embedded(page: str) -> Any:
    return json.loads(element(page, r'<script type="application/json" id="data">(.*?)</script>'))


def test_the_data_survive_whatever_tokens_hold(page: str) -> None:
    assert embedded(page)["trajectories"][0]["tokens"] == ["one ", HOSTILE, "", "\n"]
    assert page.count("<script") == page.count("</script>") == 2
    assert "<b>" not in page.split("<main>")[0]  # the question is escaped
    assert "&lt;b&gt;" in page


def test_the_policy_allows_exactly_what_is_inline(page: str) -> None:
    policy = element(page, r'http-equiv="Content-Security-Policy" content="(.*?)"')
    style, script = element(page, r"<style>(.*?)</style>"), element(page, r"<script>(.*?)</script>")
    for directive, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy.replace("&#39;", "'")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'\sstyle="|\son\w+="', page)  # the policy would block them


def test_nothing_comes_from_elsewhere(page: str) -> None:
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", page)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", page)


def test_the_script_is_plain_javascript(page: str) -> None:
    from raml.report.page import TEMPLATES

    source = (TEMPLATES / "viewer.js.j2").read_text(encoding="utf-8")
    assert source.rstrip("\n") in page


def test_full_shade_is_a_high_quantile_of_all_changes() -> None:
    assert VIEWER.full_shade() == 1.2  # of 1.25
    flat = replace(VIEWER, trajectories=[Followed("a", ["x"], [0, 1], [[1, 1], [2, 2]])])
    assert flat.full_shade() == 1.0
    long = Followed("a", ["x"] * 1000, range(1001), [[float(k % 2) for k in range(1000)] + [50.0]] * 2)
    assert replace(VIEWER, trajectories=[long]).full_shade() == 1.0


def test_choices_are_shown_where_there_are_any(page: str) -> None:
    assert page.count('name="mode"') == 2 and page.count('name="answer"') == 1
    assert "<select" not in page
    two = [replace(VIEWER.trajectories[0], name=name) for name in ("a", "b")]
    assert viewer_page(replace(VIEWER, trajectories=two)).count("<option") == 2


def test_the_end_of_thinking_is_named(page: str) -> None:
    assert "<q>" not in page
    assert "<q>&lt;/think&gt;</q>" in viewer_page(replace(VIEWER, end_of_thinking="</think>"))


@pytest.mark.parametrize(
    ("followed", "message"),
    [
        (Followed("a", ["x"], [1], [[1.0], [1.0]]), "positions must ascend from 0"),
        (Followed("a", ["x"], [0, 0], [[1.0, 1.0]] * 2), "positions must ascend from 0"),
        (Followed("a", ["x"], [0, 2], [[1.0, 1.0]] * 2), "position 2 lies beyond its 1 tokens"),
        (Followed("a", ["x"], [0, 1], [[1.0, 1.0]]), "2 series of 2 values each"),
        (Followed("a", ["x"], [0, 1], [[1.0]] * 2), "2 series of 2 values each"),
        (Followed("a", ["x"], [0, 1], [[1.0, float("nan")]] * 2), "not finite"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(followed: Followed, message: str) -> None:
    with pytest.raises(DataError, match=f"trajectory a: .*{message}"):
        viewer_page(replace(VIEWER, trajectories=[followed]))


def test_more_answers_than_colours_are_refused() -> None:
    def viewer(n: int) -> Viewer:
        series = [Series("thinking", str(k), k == 0) for k in range(n)]
        return replace(VIEWER, series=series, trajectories=[Followed("a", ["x"], [0, 1], [[1.0, 2.0]] * n)])

    assert len({COLOURS[k] for k in range(MOST_ANSWERS)}) == MOST_ANSWERS
    viewer_page(viewer(MOST_ANSWERS))
    with pytest.raises(DataError, match="tells 5 answers apart"):
        viewer_page(viewer(MOST_ANSWERS + 1))


@pytest.mark.parametrize("letter", ["x", "\u601d"])
def test_the_legend_stays_above_the_panels_and_within_the_figure(letter: str) -> None:
    series = [
        Series(mode, f"{k} {letter * 18}", k == 0) for k in range(MOST_ANSWERS) for mode in ("thinking", "no_thinking")
    ]
    followed = Followed("a", ["x"], [0, 1], [[1.0, 2.0]] * len(series))
    with drawing():
        figure = draw(replace(VIEWER, series=series, trajectories=[followed]), [one.answer for one in series[::2]])
        FigureCanvasAgg(figure).draw()
        (legend,) = figure.legends
        legend_box = legend.get_window_extent()
        title_box = figure.axes[0]._left_title.get_window_extent()
    assert legend_box.y0 > title_box.y1
    assert legend_box.x1 < figure.bbox.x1 and legend_box.y1 <= figure.bbox.y1


def test_wide_letters_take_the_legend_two_columns_each() -> None:
    assert legend_columns(["\u601d" * 20] * 8) == legend_columns(["x" * 40] * 8) < legend_columns(["x" * 20] * 8)


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one trajectory"):
        viewer_page(replace(VIEWER, trajectories=[]))


@pytest.mark.parametrize(("theme", "shade"), [(LIGHT, "8%"), (DARK, "6%")])
@pytest.mark.parametrize("colour", ["series-1", "series-2"])
def test_text_is_readable_on_the_strongest_shade(page: str, theme: dict[str, str], shade: str, colour: str) -> None:
    assert f"--shade: {shade};" in page
    weight = LEVELS * int(shade.removesuffix("%")) / 100

    def channel(name: str, start: int) -> int:
        return int(theme[name][start : start + 2], 16)

    mixed = [round(weight * channel(colour, at) + (1 - weight) * channel("surface", at)) for at in (1, 3, 5)]
    assert contrast(theme["ink"], "#" + "".join(f"{value:02x}" for value in mixed)) >= 4.5
