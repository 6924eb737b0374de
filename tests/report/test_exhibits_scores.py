"""Exhibits of scores: Table 3 and Figures 4, 7, 8, 9 and 11, on small tables of effects."""

import re
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from raml.claims.effects import EffectSpec, EffectTable
from raml.config import CommunityModel, EngineSettings, Scale, load_scale
from raml.errors import ConfigError
from raml.report.context import context
from raml.report.draw import draw_exhibit
from raml.report.entry import render
from raml.report.exhibit import Exhibit, Table, read_exhibit
from raml.report.shown import Effects
from raml.runs import series

ROOT = Path(__file__).parents[2]
SCALE = load_scale("micro", folder=ROOT / "config/scales")
TRAINED = ["path", "rows", "rows_hard"]
POOL, FURTHER = "trained families", "within domain"
COMMUNITY: dict[str, tuple[Literal["on_policy", "off_policy"], int]] = {
    "Zero-32B": ("on_policy", 57_000),
    "Small-32B": ("off_policy", 817),
    "Light-32B": ("off_policy", 76_000),
}

Row = dict[str, Any]


def row(quantity: str, model: str, over: str, estimate: float | None, baseline: str | None = None, **given: Any) -> Row:
    share, width = given.pop("share", 1.0), given.pop("width", 0.1)
    spec = EffectSpec(quantity=quantity, model=model, baseline=baseline, over=over, share=share)
    ends = {} if estimate is None else {"lower": estimate - width, "upper": estimate + width}
    counts = {"questions": 48, "seeds": 3, "n": 2304, **given}
    parts = {"quantity": quantity, "model": model, "baseline": baseline, "over": over}
    return {"effect": spec.name, "estimate": estimate, **parts, **ends, **counts}


def effects_of(rows: list[Row]) -> Effects:
    types = {name: column.dtype for name, column in EffectTable.columns().items()}
    return Effects(EffectTable.cast(pl.DataFrame(rows, schema=types)))


def drawn(exhibit: str, rows: list[Row], folder: Path, scale: Scale = SCALE, **further: Any) -> tuple[Exhibit, str]:
    """The record and the figure."""
    names = context(scale, effects_of(rows), [], ROOT / "config/reported.yaml", 620_000) | further
    figure, record = folder / "figures" / f"{exhibit}.svg", folder / "figures" / f"{exhibit}.json"
    draw_exhibit(exhibit, *render(exhibit, names), names, figure, record, [])
    return read_exhibit(record), figure.read_text(encoding="utf-8")


def ids(figure: str) -> set[str]:
    return set(re.findall(r' id="([^"]+)"', figure))


def texts(table: Table, heading: str, group: str = "") -> list[str]:
    found = [one for one in table.rows if one.heading == heading and group in ("", one.group)]
    return [cell.text for cell in found[0].cells]


def with_community() -> Scale:
    engine = EngineSettings(name="torch", dtype="float32")
    models = {
        name: CommunityModel(model=f"x/{name}", revision="main", engine=engine, training=training, questions=questions)
        for name, (training, questions) in COMMUNITY.items()
    }
    return SCALE.model_copy(update={"community": models})


@pytest.mark.parametrize("exhibit", ["tab2", "tab3", "fig4", "fig7", "fig8", "fig9", "fig11"])
def test_without_effects_all_is_not_run(exhibit: str, tmp_path: Path) -> None:
    record, figure = drawn(exhibit, [], tmp_path, with_community())
    assert "not run" in figure
    assert {cell.text for cell in record.tables[0].rows[0].cells} <= {"not run", "\N{EN DASH}", "57,000"}


@pytest.mark.parametrize("exhibit", ["tab2", "tab3", "fig7", "fig8", "fig9", "fig11"])
def test_the_first_table_holds_what_decides(exhibit: str) -> None:
    names = context(SCALE, effects_of([]), [], ROOT / "config/reported.yaml", 620_000)
    entry, _ = render(exhibit, names)
    assert [table.deciding for table in entry.tables] == [True] + [False] * (len(entry.tables) - 1)


@pytest.mark.parametrize(
    ("exhibit", "wrong", "message"),
    [
        ("fig7", {"metrics": ["Best@8"]}, "quantity 'Best@8' is one that nobody makes"),
        ("fig9", {"series": {}}, "fig9_"),
        ("tab3", {"paper": {}}, "table3"),
    ],
)
def test_what_is_unknown_is_named_in_one_line(
    exhibit: str, wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        drawn(exhibit, [row("Pass@8", "sft_long", "all benchmarks", 0.5)], tmp_path, **wrong)
    assert "\n" not in str(raised.value) and f"{exhibit}.yaml.j2" in str(raised.value)


def cold_starts() -> list[Row]:
    """A lead of 30, 20 and 10 points over base models that write more and more long trajectories."""
    rows = []
    for ending, lead in (("_p0", 0.3), ("_p3", 0.2), ("", 0.1)):
        scores = {"base": 0.2, "sft_long": 0.5, "zero_grpo": 0.6, "sft_grpo": 0.6 + lead}
        for metric in ("Pass@8", "mG-Pass@8"):
            for over in [*TRAINED, POOL, "all benchmarks"]:
                rows += [row(metric, f"{model}{ending}", over, score) for model, score in scores.items()]
                rows.append(row(metric, f"sft_grpo{ending}", over, lead, f"zero_grpo{ending}"))
    return rows


def test_table_3_shows_each_base_model_and_the_papers_numbers(tmp_path: Path) -> None:
    record, figure = drawn("tab3", cold_starts(), tmp_path)
    decide, beside, shares, leads = record.tables
    assert [one.heading for one in decide.rows] == ["0%", "3%", "12% (main)"]
    assert [one.cells[0].text for one in decide.rows] == ["+30.0", "+20.0", "+10.0"]
    assert texts(beside, "Zero-GRPO") == ["60.0"] * 6 + ["27.37", "4.08", "71.66", "30.48", "27.48", "8.21"]
    assert texts(beside, "cold start's lead")[-6:] == ["+8.50", "+7.15", "+10.76", "+14.44", "+14.69", "+10.63"]
    assert texts(shares, "3%")[:5] == ["20.0", "50.0", "60.0", "80.0", "+20.0"]
    assert texts(leads, "rows") == ["+30.0", "+20.0", "+10.0"] * 2
    marks = {
        "tab3-pass8-all-3-together-sft",
        "tab3-pass8-aime24-sftgrpo",
        "tab3-pass8-lead-aime24-sftgrpo-less-zero-grpo",
    }
    assert marks | {"tab3-mg-pass8-by-share-0-base", "tab3-pass8-lead-by-share-3-sftgrpo-less-zero-grpo"} <= ids(figure)
    assert "tab3-pass8-aime24-base" not in ids(figure)
    assert (tmp_path / "tables/tab3.md").read_text().startswith("# Table 3")


def test_table_3_of_one_base_model_has_no_second_row(tmp_path: Path) -> None:
    sweeps = SCALE.sweeps.model_copy(update={"long_shares": []})
    record, figure = drawn("tab3", cold_starts(), tmp_path, SCALE.model_copy(update={"sweeps": sweeps}))
    assert len(record.tables) == 2 and not any("by-share" in one for one in ids(figure))


def test_figure_7_counts_forgetting_and_pools_each_group(tmp_path: Path) -> None:
    leads = {"sft_short": -0.3, "sft_long": 0.3, "zero_grpo": 0.05}
    rows = [
        row(metric, model, over, 0.5 + lead, baseline)
        for metric in ("Pass@8", "mG-Pass@8")
        for over in [*TRAINED, POOL, "path_back", "rows_sort", "rows_top", FURTHER, "all benchmarks"]
        for model, lead in ({"base": 0.0} | leads).items()
        for baseline in (None,)
    ]
    rows += [row("Pass@8", model, over, lead, "base") for over in ("rows", FURTHER) for model, lead in leads.items()]
    record, figure = drawn("fig7", rows, tmp_path)
    decide, pass_leads = record.tables[:2]
    assert texts(decide, "SFT long")[:2] == ["+30.0", "not run"]
    assert texts(pass_leads, "all 3 together", "Sharing skills with them")[:3] == [
        "\N{MINUS SIGN}30.0",
        "+30.0",
        "+5.0",
    ]
    assert pass_leads.note == (
        "Of 3 comparisons on single benchmarks 1 have the whole interval below 0 (forgetting): SFT short on rows "
        "(\N{MINUS SIGN}30.0); 1 have it above 0 (transfer or what was trained)."
    )
    assert {"fig7-pass8-rows-base", "fig7-pass8-lead-rows-sft-long"} <= ids(figure)
    assert "fig7-pass8-lead-rows-base" not in ids(figure)
    assert "SFT long, Pass@8: path not run, rows +30.0" in record.description


def test_figure_8_marks_doses_that_most_questions_cannot_fill(tmp_path: Path) -> None:
    rows = []
    for name, one in series(SCALE).items():
        if name.startswith("fig8_"):
            for dose, model in zip(one.doses, one.models, strict=True):
                rows += [
                    row(metric, model, over, 0.5) for metric in ("Pass@8", "mG-Pass@8") for over in [*TRAINED, POOL]
                ]
                rows.append(row("Pass@8", model, f"{POOL} without path", 0.25))
                for family, most in (("rows", 16), ("path", 1 if name == "fig8_short" else 32)):
                    enough, style = float(dose <= most), name.removeprefix("fig8_")
                    rows.append(row(f"solutions@{dose:g}", style, family, enough, questions=33))
                    rows.append(row(f"seen@{dose:g}", style, family, min(dose, most), questions=33))
    rows.append(row("trend/Pass@8", "fig8_short", f"{POOL} without path", 0.2, questions=13))
    rows.append(row("trend/mG-Pass@8", "fig8_short", f"{POOL} without path", None, questions=0))
    rows.append(row("slope/Pass@8", "fig8_long", "rows", 0.02, width=0.01))
    record, figure = drawn("fig8", rows, tmp_path)
    decide, short, long, counted = record.tables
    assert texts(decide, "pooled", "short trajectories")[:3] == ["0.20", "\N{EN DASH}", "13"]
    assert decide.rows[0].cells[1].small == "all alike"
    assert texts(decide, "path (not deciding)")[0] == "not run"
    assert texts(short, "Pass@8", "pooled")[:2] == ["25.0", "25.0"] and short.note == "Pooled is without path."
    assert texts(long, "Pass@8", "rows")[-1] == "+2.0"
    assert texts(counted, "rows", "long trajectories") == ["33 of 33"] * 5 + ["0 of 33"]
    assert [cell.small for cell in counted.rows[0].cells][:2] == ["1.0 seen", "1.0 seen"]
    assert {"fig8-short-path-pass8", "fig8-long-pooled-mg-pass8"} <= ids(figure)
    hollow = re.findall(r"fill: #ffffff; stroke: #0072b2", figure)
    assert (
        len(hollow) == 5 + 3 + 3
    )  # short path; rows, rows_hard and pooled of each style, of which exactly half lack some


def test_figure_9_joins_each_n_from_the_base_on(tmp_path: Path) -> None:
    rows = [row("Pass@8", "base", over, 0.2) for over in [*TRAINED, POOL]]
    for step, one in ((5, series(SCALE)["fig9_step5"]), (20, series(SCALE)["fig9_last"])):
        for dose, model in zip(one.doses, one.models, strict=True):
            rows += [row("Pass@8", model, over, 0.3 + step / 100 + dose / 100) for over in [*TRAINED, POOL]]
    rows += [row("trend/Pass@8", name, POOL, rho) for name, rho in (("fig9_last", 0.4), ("fig9_first", 0.3))]
    rows.append(row("slope/Pass@8", "fig9_step5", "rows", 0.01, width=0.001))
    record, figure = drawn("fig9", rows, tmp_path)
    decide, scores, _, slopes = record.tables
    assert (
        texts(decide, "20 steps: is it better?")[0] == "0.40" and texts(decide, "5 steps: is it faster?")[0] == "0.30"
    )
    assert texts(scores, "n = 16", "pooled") == ["20.0", "51.0", "not run", "66.0"]
    assert texts(slopes, "Pass@8", "rows") == ["+1.0", "not run", "not run"]
    assert {"fig9-pass8-rows-n--16", "fig9-pass8-pooled-base"} <= ids(figure)
    assert "20.0, 51.0, not run, 66.0 with n = 16." in record.description


def test_figure_11_lies_at_the_tokens_of_each_way(tmp_path: Path) -> None:
    found = {"thinking": (60.0, 0.5), "summary": (18.0, 0.48), "no_thinking": (8.0, 0.02), "budget 32": (37.0, 0.2)}
    rows = []
    for way, (tokens, score) in found.items():
        for over in [*TRAINED, "all benchmarks"]:
            rows += [row(metric, f"sft_long/{way}", over, score) for metric in ("Avg@16", "Pass@16")]
            rows.append(row("tokens", f"sft_long/{way}", over, tokens))
    rows.append(row("leaked", "sft_long/summary", "all benchmarks", 0.03))
    rows.append(row("Avg@16", "sft_long/summary", "all benchmarks", 0.23, "sft_long/thinking", share=0.5))
    rows.append(row("tokens", "sft_long/summary", "all benchmarks", -12.0, "sft_long/thinking", share=0.5))
    record, figure = drawn("fig11", rows, tmp_path)
    decide, scores, _, paper = record.tables
    assert texts(decide, "summary less half of whole thinking") == ["+23.0", "not run", "\N{MINUS SIGN}12.00"]
    assert texts(decide, "summary less last steps")[-1] == "\N{EN DASH}"
    assert texts(scores, "summary", "pooled") == ["not run", "18.0", "48.0", "48.0", "3.0"]
    assert texts(scores, "32 tokens of thinking", "rows")[1:] == ["37.0", "20.0", "20.0", "\N{EN DASH}"]
    assert texts(paper, "summary", "AIME24") == ["39.79", "80.00"]
    assert {"fig11-avg16-pooled-summary", "fig11-pass16-rows-budgets-of-thinking"} <= ids(figure)
    assert "fig11-avg16-pooled-last-steps" not in ids(figure)


def test_figure_4_numbers_models_by_training_set_size(tmp_path: Path) -> None:
    places = [*SCALE.questions.benchmarks, "all benchmarks"] if SCALE.questions else []
    rows = [
        row(metric, model, over, 0.1 * number)
        for number, model in enumerate(COMMUNITY, 1)
        for metric in ("Avg@16", "mG-Pass@16")
        for over in places
    ]
    record, figure = drawn("fig4", rows, tmp_path, with_community())
    table = record.tables[0]
    assert [(one.group, one.heading) for one in table.rows] == [
        ("On-policy", "2  Zero-32B"),
        ("Off-policy", "1  Small-32B"),
        ("Off-policy", "3  Light-32B"),
    ]
    assert texts(table, "1  Small-32B")[:3] == ["817", "20.0", "20.0"]
    assert {"fig4-pooled-avg16-on-policy", "fig4-rows-mg-pass16-off-policy"} <= ids(figure)
    assert all(f">{number}</text>" in figure for number in (1, 2, 3))
