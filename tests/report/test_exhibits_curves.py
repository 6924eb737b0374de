"""Figures 3, 5, 12 to 16: which trajectories are shown, what is drawn where, and what the pages say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import followed_tables as tables
import numpy as np
import polars as pl
import pytest
import yaml
from matplotlib.figure import Figure

from raml.claims.result import ClaimResult
from raml.config import Scale, canonical_json, load_scale
from raml.errors import ConfigError
from raml.report import draw_raw
from raml.report.charts import curves
from raml.report.charts.svg import drawing
from raml.report.context import quoted
from raml.report.entry import FigureEntry, Item, Panel
from raml.report.exhibit import read_exhibit
from raml.report.listing import exhibits_of, followed_model, needs, raw_exhibits
from raml.report.raw import choose
from raml.step import run
from raml.storage import write_json
from raml.trajectories.tokenizer import build_tokenizer

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {
    "fig2": "surface-4",
    "fig3": "curve-4-4",
    "fig5": "half-4-thinking",
    "fig12": "mean-correct",
    "fig16": "curve-1-1",
}


def trajectories(counts: dict[str, int], benchmarks: dict[str, str] | None = None, seed: int = 0) -> pl.DataFrame:
    rows = [
        (seed, question, (benchmarks or {}).get(question, ""), f"{question}/m/{sample}")
        for question, count in counts.items()
        for sample in range(count)
    ]
    return pl.DataFrame(rows[::-1], ["seed", "question_id", "benchmark", "trajectory_id"], orient="row")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 2, "b": 4, "c": 11, "d": 4, "e": 3, "f": 5, "g": 6}, {"b": 4, "c": 4, "d": 4, "f": 4}),
        ({"a": 1, "b": 2, "c": 4, "d": 3, "e": 3}, {"b": 2, "c": 4, "d": 3, "e": 3}),
    ],
)
def test_the_first_questions_with_the_most_trajectories_are_shown(
    counts: dict[str, int], expected: dict[str, int]
) -> None:
    chosen = choose(pl.concat([trajectories(counts), trajectories({"a": 9}, seed=1)]))
    assert chosen == {name: [f"{name}/m/{sample}" for sample in range(size)] for name, size in expected.items()}


def test_benchmarks_take_turns_and_none_are_shown_of_nothing() -> None:
    names = {"a-1": "x", "a-2": "x", "a-3": "x", "a-4": "y", "b": "z", "c": "z"}
    assert list(choose(trajectories(dict.fromkeys(names, 4), names))) == ["a-1", "a-2", "a-4", "b"]
    assert choose(trajectories({}).cast({"seed": pl.Int64})) == {}


def entry(single: str) -> FigureEntry:
    other = "sft_long/no_thinking"
    if single == "pairs":
        difference = {"model": other, "baseline": "sft_long"}
        panels = [Panel(label=label, quantity=f"{label}/correct", **difference) for label in ("half fall", "end NLL")]
        series = [
            Item(label=name, quantity="NLL/correct", model=model)
            for name, model in (("thinking", "sft_long"), ("no-thinking", other))
        ]
    else:
        panels, outcomes = [], ("correct", "incorrect")
        series = [Item(label=name, quantity=f"NLL/{name}", model="sft_long") for name in outcomes]
    rows = [Item(label="all", over="all benchmarks")]
    return FigureEntry(panels=panels, series=series, rows=rows, options={"single": single, "below": "means"})


def draw(single: str, table: pl.DataFrame) -> Figure:
    with drawing():
        return curves.draw(entry(single), tables.effects(table), tables.followed(table))


def parts(figure: Figure) -> dict[str, Any]:
    return {str(line.get_gid()): line for axes in figure.axes for line in axes.lines if line.get_gid()}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_four_panels_of_four_curves_above_two_means() -> None:
    table = tables.curve_table()
    figure = draw("correct", table)
    found = parts(figure)
    single = {f"curve-{panel}-{line}" for panel in range(1, 5) for line in range(1, 5)}
    assert set(found) == single | {"mean-correct", "mean-incorrect"}
    first = table.filter(pl.col("mode") == "thinking", seed=0, trajectory_id=f"{tables.NAMES[0]}/sft_long/0")
    np.testing.assert_array_equal(found["curve-1-1"].get_xydata(), first.select("position", "nll").to_numpy())
    of_question = table.filter(pl.col("correct"), pl.col("mode") == "thinking", pl.col("position") == 0)
    cells = of_question.group_by("question_id", "seed").agg(pl.col("nll").mean())
    assert found["mean-correct"].get_ydata()[0] == pytest.approx(cells["nll"].mean())
    assert "60 trajectories,\n6 questions" in found["mean-correct"].get_label()
    assert {axes.get_ylim() for axes in figure.axes} == {axes.get_ylim() for axes in draw("incorrect", table).axes}


@pytest.mark.parametrize(("single", "share"), [("correct", 0.0), ("incorrect", 1.0), ("pairs", 0.0)])
def test_without_such_trajectories_the_panels_say_so(single: str, share: float) -> None:
    figure = draw(single, tables.curve_table(share=share))
    assert texts(figure).count("no trajectories\nat this scale") == 4
    assert not [name for name in parts(figure) if name.startswith(("curve", "pair", "half"))]


def test_trajectories_too_short_for_means_are_still_shown() -> None:
    figure = draw("correct", tables.curve_table(length=1))
    assert "curve-1-1" in parts(figure) and "no trajectories at this scale" in texts(figure)


def test_both_modes_of_a_trajectory_with_marks_where_half_of_the_fall_is_first_made() -> None:
    table = tables.curve_table()
    found = parts(draw("pairs", table))
    for number, name in enumerate(tables.NAMES[:4], 1):
        for mode in ("thinking", "no_thinking"):
            own = table.filter(pl.col("seed") == 0, pl.col("mode") == mode, trajectory_id=f"{name}/sft_long/0")
            nll = own["nll"].to_numpy()
            first = int(np.flatnonzero(nll <= (nll[0] + nll[-1]) / 2)[0])
            np.testing.assert_allclose(found[f"half-{number}-{mode}"].get_xydata(), [[first, nll[first]]])
            assert len(found[f"pair-{number}-{mode}"].get_xdata()) == len(nll)
    assert {"mean-thinking", "mean-no-thinking", "half-fall-1", "end-nll-1"} <= set(found)
    assert found["end-nll-1"].get_xdata()[0] == pytest.approx(0.9, abs=0.2)


def test_a_curve_that_does_not_fall_has_no_mark_and_one_without_a_partner_is_left_out() -> None:
    table = tables.curve_table().with_columns(
        nll=pl.when(pl.col("mode") == "thinking").then(pl.col("nll")).otherwise(pl.col("position"))
    )
    whole = parts(draw("pairs", table))
    assert "half-1-thinking" in whole and "half-1-no_thinking" not in whole
    lonely = table.filter((pl.col("mode") == "thinking") | (pl.col("question_id") == tables.NAMES[1]))
    figure = draw("pairs", lonely)
    assert "pair-1-no_thinking" in parts(figure) and "pair-2-thinking" not in parts(figure)
    assert "too few" in texts(figure)


def test_a_reading_is_the_first_curve_shown_unless_tokens_were_skipped() -> None:
    followed = tables.followed(tables.curve_table())
    (reading,) = followed.readings(followed.panels("correct"))
    assert [token.text for token in reading.tokens] == ["1", "2", "3", "4", "5", "6"]
    assert "correct trajectory" in reading.heading and reading.start_nll == pytest.approx(8, abs=1)
    skipping = tables.followed(tables.curve_table(stride=4))
    assert skipping.panels("correct") and skipping.readings(skipping.panels("correct")) == []


@pytest.mark.parametrize("text", [tables.HOSTILE, "\x07\x85\u2028\ud7ff", "a: # b\nc", ""])
def test_any_text_can_stand_in_an_entry(text: str) -> None:
    assert yaml.safe_load(f"- {{a: {quoted(text)}}}") == [{"a": text}]


class World:
    """The step and its inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own, other = tables.curve_table(), tables.curve_table(model="base")
        grid = tables.landscape_table()
        self.given: dict[str, Any] = {
            "effects": tables.write(folder, "effects", tables.effects_table(pl.concat([own, other]), grid)),
            "claims": folder / "claims.json",
            "reported": "config/reported.yaml",
            "models": folder / "models.json",
            "questions": tables.write(folder, "questions", tables.question_table()),
            "tokenizer": folder / "tokenizer/tokenizer.json",
            "curves": [tables.write(folder, f"curves{n}", table) for n, table in enumerate((own, other))],
            "samples": [
                tables.write(folder, f"samples{n}", tables.sample_table(*whose))
                for n, whose in enumerate([(0, "sft_long"), (1, "sft_long"), (0, "base")])
            ],
            "landscape": [tables.write(folder, "landscape", grid)],
        }
        named = dict.fromkeys(("statement", "paper", "quantity", "reason", "command"), "-")
        claim = ClaimResult(id="fig3", exhibit="fig3", reported=None, verdict="not_run", **named)
        write_json([claim.model_dump(mode="json")], self.given["claims"])
        write_json([{"model": "base", "seed": 0, "parameters": 1000, "sha256": "x"}], self.given["models"])
        build_tokenizer().save_pretrained(str(folder / "tokenizer"))

    def draw(self, *exhibits: str, out: Path, **given: Any) -> None:
        probing = {"trajectories_per_question": tables.SAMPLES + 1, "benchmarks": ["rows"]}
        scale = load_scale("minimal", {"probing": probing})
        arguments = ["--scale", "minimal", "--config", canonical_json(scale), "--exhibits", *exhibits]
        made = {
            kind: [out / f"{one}.{ending}" for one in exhibits]
            for kind, ending in (("figures", "svg"), ("records", "json"))
        }
        for name, value in (self.given | made | given).items():
            arguments += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
        run(draw_raw.main, Scale, **draw_raw.FILES, arguments=arguments)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def drawn(world: World) -> Iterator[Path]:
    world.draw(*DRAWN, out=world.folder)
    yield world.folder


def test_the_step_draws_accessible_figures_with_ids_of_their_own(drawn: Path) -> None:
    for name, gid in DRAWN.items():
        root = ElementTree.fromstring((drawn / f"{name}.svg").read_bytes())
        ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        assert f"{name}-{gid}" in ids and len(ids) == len(set(ids))
        assert all(one.startswith(f"{name}-") for one in ids) and root.attrib["role"] == "img"
        assert root.findtext(f"{SVG}desc") == read_exhibit(drawn / f"{name}.json").description


def test_pages_hold_the_numbers_drawn_and_say_what_was_skipped(drawn: Path) -> None:
    fig3, fig5, fig12 = (read_exhibit(drawn / f"{name}.json") for name in ("fig3", "fig5", "fig12"))
    assert dict(fig3.n) == {"questions": 6, "trajectories": 60, "training seeds": 2, "probed positions": 468}
    quarters, rho, shown = fig3.tables
    assert len(quarters.columns) == 10 and [row.heading for row in rho.rows] == ["all"]
    assert [cell.text for cell in rho.rows[0].cells[:2]] == ["6", "60"]
    assert rho.rows[0].cells[2].text.startswith("\N{MINUS SIGN}1.00") and rho.rows[0].cells[2].small
    assert shown.rows[0].cells[0].text == f"A {tables.HOSTILE} ?" and len(shown.rows) == 4
    assert [len(one.readings) for one in (fig3, fig5, fig12)] == [1, 0, 1]
    skipped = next(one for one in fig3.done if one.startswith("Skipped"))
    assert re.findall(r"[\d,]*\d", skipped) == ["156", "24", "12", "96", "12", "12"]
    differences = fig5.tables[1]
    assert [column.heading for column in differences.columns[2:5]] == ["thinking", "no-thinking", "difference"]
    assert "the first half-way crossing, as a share of the trajectory, differs" in fig5.description
    assert "Base answered held-out questions" in fig12.done[0]
    assert {Path(source.path).stem for source in fig12.sources} == {"effects", "questions", "curves1", "samples2"}


def test_without_trajectories_a_page_says_so(world: World, tmp_path: Path) -> None:
    none = tables.curve_table(share=0.0)
    given = {
        "effects": tables.write(tmp_path, "effects", tables.effects_table(none)),
        "curves": [tables.write(tmp_path, "curves", none)],
        "landscape": [tables.write(tmp_path, "landscape", tables.landscape_table([]))],
    }
    world.draw("fig2", "fig3", "fig5", "fig12", out=tmp_path, **given)
    records = [read_exhibit(tmp_path / f"{name}.json") for name in ("fig2", "fig3", "fig5", "fig12")]
    assert all(record.description.startswith("Empty: no ") and record.n[0][1] == 0 for record in records)
    assert [len(record.tables) for record in records] == [0, 2, 0, 0]


def test_what_does_not_fit_is_named_in_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tables.curve_table().with_columns(question_id=pl.lit("gone"))
    for given, error in (
        ({"curves": [tables.write(tmp_path, "curves", gone)]}, "the curves follow question 'gone'"),
        ({"samples": world.given["samples"][2:]}, "--samples has none of 'sft_long'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            world.draw("fig3", out=tmp_path, **given)
        assert error in (message := capsys.readouterr().err) and message.count("\n") == 1
    for exhibit, error in (("tab2", "raml.report.draw draws it"), ("fig14", "holds only sft_long, base")):
        with pytest.raises(SystemExit, match="2"):
            world.draw(exhibit, out=tmp_path)
        assert error in capsys.readouterr().err


def test_a_scale_has_the_exhibits_whose_needs_it_meets(tmp_path: Path) -> None:
    scale = load_scale("minimal")
    assert raw_exhibits(scale) == ["fig2", "fig3", "fig5", "fig12", "fig13", "fig16"]
    assert followed_model("fig13", scale.probing.models) == "base"
    with pytest.raises(ConfigError, match=r"fig15 follows model 3 of probing\.models, which holds only a, b"):
        followed_model("fig15", ["a", "b"])
    lines = {
        "tab1": "",
        "fig9": "# needs: probed 0\n",
        "fig10": "# needs: raw, probed 1\n",
        "fig4": "# needs: community\n",
    }
    for name, line in (lines | {"prop2.1": "", "times": "", "training": "", "fig11": "# needs: probed 2\n"}).items():
        (tmp_path / f"{name}.yaml.j2").write_text(f"{line}title: x\n")
    assert exhibits_of(scale, tmp_path) == ["prop2.1", "fig9", "fig10", "tab1", "training", "times"]
    (tmp_path / "fig1.yaml.j2").write_text("# needs: luck\n")
    with pytest.raises(ConfigError, match=r"fig1\.yaml\.j2 needs 'luck'; allowed are raw"):
        exhibits_of(scale, tmp_path)
    with pytest.raises(ConfigError, match="there is no exhibit 'fig99'"):
        needs("fig99", tmp_path)
