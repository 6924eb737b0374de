"""Table 1, Figure 6, Proposition 2.1, training and times, drawn from small tables with a known content."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from raml.claims.effects import EffectSpec, EffectTable
from raml.config import Scale, canonical_json, load_scale
from raml.errors import ConfigError
from raml.report import draw
from raml.report.charts import bars
from raml.report.context import context
from raml.report.draw import draw_exhibit
from raml.report.entry import FigureEntry, Item, Panel, render
from raml.report.exhibit import Cell, Exhibit, read_exhibit
from raml.report.shown import Effects
from raml.lineage.timings import RuleTime, SeedTime, Times
from raml.report.training_curves import techniques, training
from raml.schemas import TrainingRecord, column_types
from raml.step import run
from raml.storage import Provenance, write_json, write_table

REPORTED = Path("config/reported.yaml")
STARTS = {"sft_short": "base", "sft_long": "base", "dpo": "sft_long", "zero_grpo": "base", "sft_grpo": "sft_long"}
DASH = "\N{EN DASH}"
Found = tuple[Exhibit, list[str], list[str]]


def effect(quantity: str, model: str, estimate: float, *, width: float | None = 0.2, **parts: Any) -> dict[str, Any]:
    """A row of `EffectTable`, its interval of this width around the estimate, or none."""
    spec = EffectSpec(quantity=quantity, model=model, **parts)
    ends = (None, None) if width is None else (estimate - width / 2, estimate + width / 2)
    sizes = {"questions": 1 if width is None else 20, "seeds": 2, "n": 40}
    about = spec.model_dump(include={"quantity", "model", "baseline", "over"})
    return {"effect": spec.name, **about, "estimate": estimate, "lower": ends[0], "upper": ends[1], **sizes}


def effects(rows: Sequence[dict[str, Any]] = ()) -> pl.DataFrame:
    schema = {name: column.dtype for name, column in EffectTable.columns().items()}
    return EffectTable.cast(pl.DataFrame(list(rows), schema=schema))


def scale(**changed: Any) -> Scale:
    return load_scale("minimal").model_copy(update=changed)


def drawn(exhibit: str, folder: Path, rows: Sequence[dict[str, Any]] = (), **further: Any) -> Found:
    """The exhibit, the ids and the texts of its figure."""
    names = context(scale(), Effects(effects(rows)), [], REPORTED, 600_000, **further)
    entry, prose = render(exhibit, names)
    figure, record = folder / f"figures/{exhibit}.svg", folder / f"figures/{exhibit}.json"
    draw_exhibit(exhibit, entry, prose, names, figure, record, [])
    return read_exhibit(record), *parse(figure)


def parse(path: Path) -> tuple[list[str], list[str]]:
    elements = list(ElementTree.parse(path).iter())
    ids = [one.get("id", "") for one in elements]
    return ids, ["".join(one.itertext()) for one in elements if one.tag.endswith("}text")]


def cells(exhibit: Exhibit, table: int) -> dict[str, list[Cell]]:
    return {row.heading: row.cells for row in exhibit.tables[table].rows}


def losses() -> list[dict[str, Any]]:
    """Before training 2, after it 1; the differences as they are made, later models less earlier ones."""
    rows = [effect("Pass@2", model, 0.5) for model in ("base", *STARTS)]
    for source in ("oracle", "own"):
        for model in ("base", *STARTS):
            after = {"base": 2.0}.get(model, 1.0)
            rows += [effect(f"outer loss/{source}", model, after), effect(f"loss without/{source}", model, 3.0)]
        for model, start in STARTS.items():
            rows.append(effect(f"outer loss/{source}", model, -1.0, baseline=start))
    for model, source in (("sft_long", "oracle"), ("dpo", "oracle"), ("zero_grpo", "own")):
        rows.append(effect(f"outer loss/{source}", STARTS[model], 1.5, baseline=model, over="trained families"))
    return [*rows, effect("right/own", "base", 0.25), effect("cut off", "base", 0.1, over="trained families")]


def test_table_1_shows_each_training_by_its_start(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("tab1", tmp_path, losses())
    assert {f"tab1-oracle-sft-long-{what}" for what in ("before", "after", "fall")} <= set(ids)
    assert {"SFT, off-policy", "GRPO, on-policy", "rises", "falls"} <= set(texts)
    assert any("from SFT long" in text for text in texts)
    first = cells(exhibit, 0)
    assert [first[name][4].text for name in ("SFT", "DPO", "GRPO")] == ["1.50"] * 3
    assert first["GRPO"][3].text == "Zero-GRPO from Base, own trajectories"
    falls = cells(exhibit, 1)["DPO, from SFT long"]
    assert [cell.text for cell in falls] == ["1.00", "1.00", "1.50", "1.00", "1.00", "1.00", "not run"]
    assert falls[2].small == "1.40 to 1.60"
    base = cells(exhibit, 2)["Base"]
    assert (base[0].text, base[6].text, base[7].text) == ("3.00", "25.0", "10.0")
    assert "DPO 1.50 (1.40 to 1.60)" in exhibit.description
    assert (tmp_path / "tables/tab1.md").read_text(encoding="utf-8").startswith("# Table 1")


def test_rows_that_decide_are_tinted(tmp_path: Path) -> None:
    entry, _ = render("tab1", context(scale(), Effects(effects(losses())), [], REPORTED, 600_000))
    tinted = {row.label: row.tinted for row in entry.figure.rows}
    assert (tinted["SFT long"], tinted["Zero-GRPO"], tinted["SFT short"]) == (["oracle"], ["own"], [])
    assert entry.tables[0].deciding and not any(table.deciding for table in entry.tables[1:])


def roles() -> list[dict[str, Any]]:
    rows = []
    for name, value in (("all tokens", 0.5), ("reflection", 0.7), ("reflection: Wait", 0.8), ("digits: 1", 0.3)):
        for quantity in ("pooled change/mean", "pooled change/median", "pooled signed change/mean"):
            rows.append(effect(f"{quantity}/{name}", "sft_long", value, width=None))
        rows += [effect(f"{quantity}/{name}", "sft_long", -value) for quantity in ("signed change", "next change")]
        if name != "all tokens":
            rows.append(effect(f"superiority/{name}", "sft_long", value - 0.5))
    return [*rows, effect("superiority/reflection/correct", "sft_long", 0.1)]


def test_figure_6_shows_roles_words_and_the_papers_means(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("fig6", tmp_path, roles())
    named = {
        "fig6-superiority-reflection-",
        "fig6-relative-reflection-wait-median",
        "fig6-signed-all-tokens-at-the-token",
    }
    assert named | {"fig6-relative-reflection-alternatively-mean-in-the-paper"} <= set(ids)
    assert {"Roles", "Single words", "mean in the paper"} <= set(texts)
    assert "fig6-relative-digits-1-mean" not in ids
    decides = cells(exhibit, 0)["reflection, SFT long"]
    assert [(cell.text, cell.small) for cell in decides] == [("0.20", "0.10 to 0.30"), ("20", ""), ("40", "")]
    averages = cells(exhibit, 1)
    assert [cell.text for cell in averages["reflection: Wait"]] == ["40", "0.800", "0.800", "not run", "1.22"]
    assert [cell.text for cell in averages["reflection: Alternatively"]] == ["0", *[DASH] * 3, "16.33"]
    assert "digits: 1" in averages
    assert cells(exhibit, 2)["all tokens"][1].text == DASH
    assert cells(exhibit, 3)["correct trajectories"][2].text == "0.10"


def updates() -> list[dict[str, Any]]:
    rows = []
    for variant, factor in (("", 1.0), ("/shuffled", 0.5), ("/random", 0.25)):
        model = f"sft_long{variant}"
        for outcome in ("correct", "incorrect"):
            places = [f"quarter {quarter}" for quarter in range(1, 5)]
            for place in [*places, "layer 0", "layer 1"]:
                rows.append(effect(f"cosine/output/{outcome}/{place}", model, 0.4 * factor))
            rows += [effect(f"actual/output/{outcome}/{place}", model, -factor) for place in places]
            rows += [effect(f"agreement/output/{outcome}/{place}", model, 0.5) for place in places]
            rows.append(effect(f"cosine/output/{outcome}", model, 0.4 * factor))
    for construction in ("paper", "exact"):
        rows.append(effect(f"block error/{construction}/width 8/length 4", "random", 0.1))
    lead = effect("cosine/output/correct", "sft_long/shuffled", -0.2, baseline="sft_long")
    return [*rows, lead, effect("block error/exact/layer 0", "sft_long", 0.01, width=0.002)]


def test_proposition_2_1_has_six_panels_and_what_decides_first(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("prop2.1", tmp_path, updates())
    assert {f"prop2.1-cosines-{name}" for name in ("real", "shuffled", "random")} <= set(ids)
    assert {"prop2.1-errors-the-papers-construction", "prop2.1-loss-incorrect-actual", "prop2.1-layers-real"} <= set(
        ids
    )
    assert "prop2.1-errors-changed-query-alone" not in ids
    assert sum(text.startswith(f"({letter})") for letter in "abcdef" for text in texts) == 7  # and the note
    decides = cells(exhibit, 0)
    assert [decides[f"Cosine, real less {name}"][0].text for name in ("shuffled", "random")] == ["0.20", "not run"]
    along = cells(exhibit, 4)
    assert [cell.text for cell in along["output, correct, shuffled"]] == ["0.20"] * 4
    assert cells(exhibit, 6)["correct, real: signs agree, %"][0].text == "50.0"


def test_errors_of_random_blocks_are_means_over_widths() -> None:
    wide = scale(updates=scale().updates.model_copy(update={"dimensions": [8, 16]}))
    name = "block error/paper/width {}/length 4"
    rows = [effect(name.format(width), "random", error) for width, error in ((8, 0.1), (16, 0.3))]
    entry, _ = render("prop2.1", context(wide, Effects(effects(rows)), [], REPORTED, 600_000))
    (series,) = (one for one in entry.figure.panels[0].series or [] if one.label == "the paper's construction")
    (point,) = series.points or []
    assert point == pytest.approx((4, 0.2, 0.1, 0.3))


@pytest.mark.parametrize("exhibit", ["tab1", "fig6", "prop2.1"])
def test_without_effects_there_is_an_exhibit_that_says_so(exhibit: str, tmp_path: Path) -> None:
    found, _, texts = drawn(exhibit, tmp_path)
    assert "not run" in texts
    assert any(cell.text == "not run" for row in found.tables[0].rows for cell in row.cells)
    assert "empty" in found.description.lower()


def log(models: Sequence[str] = ("zero_grpo", "dpo"), *, steps: int = 20, seeds: int = 2) -> pl.DataFrame:
    """Every quantity that is drawn rises from 0 to 1 along the steps, seed / 100 added."""
    rows = [
        (model, seed, step, quantity.name, (step - 1) / max(steps - 1, 1) + seed / 100)
        for technique in techniques(["short", "long"])
        for model in technique.models
        if model in models
        for seed in range(seeds)
        for step in range(1, steps + 1)
        for quantity in technique.drawn
    ]
    return TrainingRecord.cast(pl.DataFrame(rows, schema=column_types(TrainingRecord), orient="row"))


def test_training_has_a_line_for_each_model_and_quantity(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("training", tmp_path, training=training(log(), scale()))
    assert {"training-grpo-reward-zero-grpo", "training-grpo-length-zero-grpo", "training-dpo-loss-dpo"} <= set(ids)
    assert {"GRPO", "SFT", "DPO", "SFT+GRPO, not run", "DPO step"} <= set(texts)
    assert texts.count("not run") == 4  # the panels of SFT
    table = exhibit.tables[0]
    assert (table.columns[1].group, table.columns[1].heading) == ("Zero-GRPO, 20 steps", "last 10% of steps")
    shares = cells(exhibit, 0)["groups of equal rewards (%)"]
    assert [(cell.text, cell.small) for cell in shares[:3]] == [
        ("3.1", "2.6 to 3.6"),  # the first two of twenty steps, two seeds
        ("97.9", "97.4 to 98.4"),
        ("not run", ""),
    ]
    assert "KL to the start (nats/token)" not in cells(exhibit, 0)  # neither drawn nor logged
    assert ("optimiser steps logged", 80) in exhibit.n


def test_one_step_of_one_seed_is_enough(tmp_path: Path) -> None:
    exhibit, _, _ = drawn("training", tmp_path, training=training(log(["dpo"], steps=1, seeds=1), scale()))
    assert [(cell.text, cell.small) for cell in cells(exhibit, 2)["loss (nats/pair)"]] == [("0", ""), ("0", "")]
    assert exhibit.tables[2].columns[0].group == "DPO, 1 step"


def test_without_a_log_the_figure_is_empty(tmp_path: Path) -> None:
    exhibit, _, texts = drawn("training", tmp_path, training=training(log([]), scale()))
    assert exhibit.description == "Empty: nothing was trained at this scale." and texts.count("not run") == 16


def times(rules: int = 2, of: str = "minimal") -> Times:
    found = [
        RuleTime(rule=f"r{n}", jobs=2, seconds=80, longest_seconds=50, cpu_seconds=None, peak_memory_mb=800, share=0.5)
        for n in range(rules)
    ]
    seeds = [SeedTime(seed=None, jobs=1, seconds=0.1), SeedTime(seed=0, jobs=2, seconds=1240.0)]
    return Times(scale=of, processor="Some CPU", cores=2, seconds=95.1, elapsed_seconds=75.1, rules=found, seeds=seeds)


def test_times_have_a_bar_and_a_row_for_each_rule(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("times", tmp_path, times=times())
    assert {"times-bar-r0", "times-bar-r1"} <= set(ids) and "80 s, 50.0%, 2 jobs" in texts
    assert [cell.text for cell in cells(exhibit, 0)["r0"]] == ["2", "80.0", "50.0", "50.0", DASH, "800"]
    assert cells(exhibit, 1)["0"][1].text == "1,240.0" and "shared by all" in cells(exhibit, 1)
    assert "2 cores of Some CPU" in exhibit.done[0] and ("seconds as they ran", 75) in exhibit.n


def test_many_rules_share_the_last_bar(tmp_path: Path) -> None:
    exhibit, ids, texts = drawn("times", tmp_path, times=times(20))
    assert "6 other rules" in texts and "times-bar-r14" not in ids and len(exhibit.tables[0].rows) == 20


def test_bars_may_have_no_rows() -> None:
    bars.draw(FigureEntry(panels=[Panel(title="nothing")]), Effects(effects()))


def test_an_item_may_give_parts_by_the_label_of_another() -> None:
    found = Effects(effects([effect("Pass@2", "base", 0.5), effect("Pass@2", "dpo", 0.6)]))
    row = Item.model_validate({"label": "row", "quantity": "Pass@2", "parts": {"after": {"model": "dpo"}}})
    assert found.find(row, Item(label="after")).estimate == 0.6  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="needs a quantity and a model"):
        found.find(row, Item(label="before"))


def test_what_an_exhibit_needs_is_named_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"times\.yaml\.j2: UndefinedError: 'times' is undefined$"):
        render("times", context(scale(), Effects(effects()), [], REPORTED, 600_000))


def test_the_step_reads_log_and_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = Provenance(scale="minimal", config_hash="c0ffee000000", code_version="0.1.0+abc", seed=0)
    write_table(effects(losses()), EffectTable, tmp_path / "effects.parquet", about)
    write_table(log(), TrainingRecord, tmp_path / "training.parquet", about)
    write_json(times().model_dump(mode="json"), tmp_path / "times.json")
    claim = dict.fromkeys(("id", "exhibit", "statement", "paper", "quantity", "reason", "command"), "x")
    write_json([claim | {"reported": None, "verdict": "not_run"}], tmp_path / "claims.json")
    (tmp_path / "models.json").write_text("[]")
    shown = ["training", "times"]
    inputs = {name: tmp_path / f"{name}.parquet" for name in ("effects", "training")}
    inputs |= {name: tmp_path / f"{name}.json" for name in ("claims", "models", "times")}
    arguments = ["--scale", "minimal", "--config", canonical_json(scale()), "--reported", str(REPORTED)]
    arguments += [text for name, path in inputs.items() for text in (f"--{name}", str(path))]
    arguments += ["--exhibits", *shown, "--figures", *(str(tmp_path / f"figures/{name}.svg") for name in shown)]
    arguments += ["--records", *(str(tmp_path / f"figures/{name}.json") for name in shown)]
    run(draw.main, Scale, **draw.FILES, arguments=arguments)
    first = [(tmp_path / f"figures/{name}.svg").read_bytes() for name in shown]
    sources = [
        [Path(one.path).name for one in read_exhibit(tmp_path / f"figures/{name}.json").sources] for name in shown
    ]
    assert sources == [["training.parquet"], []]
    run(draw.main, Scale, **draw.FILES, arguments=arguments)
    assert [(tmp_path / f"figures/{name}.svg").read_bytes() for name in shown] == first
    write_json(json.loads((tmp_path / "times.json").read_text()) | {"scale": "paper"}, tmp_path / "times.json")
    with pytest.raises(SystemExit, match="2"):
        run(draw.main, Scale, **draw.FILES, arguments=arguments)
    error = capsys.readouterr().err
    assert "is of scale 'paper'" in error and error.count("\n") == 1
