"""The exhibit of Proposition 2.1: what is drawn, the numbers behind it, and scales at which nothing was measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from raml.claims.downhill import decide
from raml.claims.sections import Downhill
from raml.config import Updates
from raml.evaluation.intervals import Bootstrap
from raml.report import prop21, prop21_figure
from raml.report.exhibit import read_exhibit
from raml.report.numbers import measurement
from raml.schemas import BlockResidual, WeightUpdate
from raml.storage import read_table, write_table
from report_results import EVALUATION, PROBING, provenance, step

SVG = "{http://www.w3.org/2000/svg}"
JOB = prop21.Job(
    evaluation=EVALUATION,
    probing=PROBING,
    updates=Updates(questions=6, positions=4, draws=1, dimensions=[8, 16], prompt_lengths=[4, 16], threads=1),
)


def update_table(seed: int, questions: int = 6) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    mean = {"trajectory": 0.3, "shuffled": 0.1, "random": 0.0}
    rows = [
        {
            "trajectory_id": f"rows-{question}/sft_long/{0 if correct else 1}", "question_id": f"rows-{question}",
            "benchmark": "rows", "model": "sft_long", "seed": seed, "correct": correct, "source": source, "draw": 0,
            "projection": projection, "position": position, "length": 8, "layer": layer, "weight_norm": 10.0,
            "update_norm": position / 4, "gradient_norm": 2.0,
            "descent": position / 2 * (cosine + 0.05 * rng.standard_normal()), "nll_without": 2.0,
            "nll": 3.0 - position / 4, "nll_difference": 1e-6,
            "logit_difference": 1e-5 if projection == "output" else 0.5,
        }
        for question in range(questions)
        for correct in (True, False)
        for source, cosine in mean.items()
        for projection in ("output", "value")
        for position in (2, 4, 6, 8)
        for layer in range(3)
    ]  # fmt: skip
    return WeightUpdate.cast(pl.DataFrame(rows)) if rows else WeightUpdate.create_empty()


def block_table(seed: int, questions: int = 6) -> pl.DataFrame:
    rows = [
        {
            "source": source, "seed": seed, "draw": draw, "question_id": f"rows-{draw}" if source != "random" else None,
            "layer": layer, "dimension": dimension, "prompt_length": length, "construction": name,
            "relative_error": error * (1 + draw / 10), "relative_norm": 0.2,
        }
        for source, layers in (("random", 1), ("sft_long", 3))
        for draw in range(questions if source != "random" else 3)
        for layer in range(layers)
        for dimension in ((8, 16) if source == "random" else (128,))
        for length in ((4, 16) if source == "random" else (20,))
        for name, error in (("none", 1.0), ("query", 0.9 / length), ("paper", 1 / length), ("exact", 1e-15))
    ]  # fmt: skip
    return BlockResidual.cast(pl.DataFrame(rows))


def make(root: Path, seeds: tuple[int, ...] = (0, 1), questions: int = 6) -> Any:
    made = SimpleNamespace(blocks=[], updates=[], figure=root / "prop2.1.svg", exhibit=root / "prop2.1.json")
    for seed in seeds:
        for name, schema, table in (
            ("blocks", BlockResidual, block_table(seed, questions)),
            ("updates", WeightUpdate, update_table(seed, questions)),
        ):
            path = root / f"{name}{seed}.parquet"
            write_table(table, schema, path, provenance())
            getattr(made, name).append(path)
    step(prop21, JOB, prop21.Job, prop21.FILES, **vars(made))
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make(tmp_path_factory.mktemp("prop21"))


def ids(path: Path) -> set[str]:
    return {
        element.attrib["id"] for element in ElementTree.fromstring(path.read_bytes()).iter() if "id" in element.attrib
    }


def test_six_panels_with_every_series(made: Any) -> None:
    found = ids(made.figure)
    series = {
        f"prop2.1-{panel}-{s}" for panel in ("norms", "cosines", "layers") for s in ("trajectory", "shuffled", "random")
    }
    blocks = {f"prop2.1-residual-{name}" for name in ("none", "query", "paper", "exact")}
    loss = {f"prop2.1-loss-{kind}-{v}" for kind in ("correct", "incorrect") for v in ("actual", "first_order")}
    assert series | blocks | loss <= found and all(one.startswith("prop2.1-") for one in found)
    shown = [element.text for element in ElementTree.fromstring(made.figure.read_bytes()).iter(f"{SVG}text")]
    assert {
        "real",
        "shuffled",
        "random",
        "cosine with the negative gradient",
        "prompt length (tokens)",
        "actual",
        "to first order",
        "weights unchanged",
        "changed query alone",
        "the paper's construction",
    } <= set(shown)
    assert not any("mathdefault" in (text or "") for text in shown)
    assert made.figure.stat().st_size < 200_000


def test_the_exhibit_holds_the_numbers_drawn_as_the_claims_do(made: Any) -> None:
    exhibit = read_exhibit(made.exhibit)
    assert exhibit.id == "prop2.1" and dict(exhibit.n)["questions"] == 6 and dict(exhibit.n)["random blocks"] == 24
    random_blocks, model, same, cosines, norms, loss, layers = exhibit.tables
    by_heading = {row.heading: [float(cell.text) for cell in row.cells] for row in random_blocks.rows[:6]}
    assert by_heading["the paper's construction, width 8"] == pytest.approx([0.275, 0.06875], abs=0.006)
    assert by_heading["changed query alone, width 16"] == pytest.approx([0.2475, 0.0619], abs=0.006)
    assert by_heading["weights unchanged, width 8"] == [1.1, 1.1] and len(random_blocks.rows) == 8
    assert [column.group for column in model.columns][:2] == ["weights unchanged", "changed query alone"]
    assert float(model.rows[0].cells[3].text) == pytest.approx(1.25 / 20, abs=0.01)
    by_heading = {row.heading: [float(c.text.replace("\u2212", "-")) for c in row.cells] for row in loss.rows}
    assert by_heading["correct, real: actual"] == [0.5, 0, -0.5, -1] and len(loss.rows) == 18
    assert by_heading["correct, real: to first order"] == pytest.approx([-0.9, -1.8, -2.7, -3.6], rel=0.15)
    assert by_heading["incorrect, real: signs agree, %"] == [0, 0, 100, 100]
    assert [row.heading for row in model.rows] == ["layer 0", "layer 1", "layer 2"]
    assert [row.cells[2].text for row in same.rows] == ["100.0", "0.0"]
    assert cosines.rows[0].heading == "output, correct, real" and len(cosines.rows) == len(norms.rows) == 12
    test = Downhill(name="downhill", projection="output", minimal_effect=0, min_questions=2, why="-")
    table = pl.concat([read_table(path, WeightUpdate) for path in made.updates])
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    along: Any = decide(test, table, bootstrap).details["along_the_trajectory"]
    for quarter, cell in enumerate(cosines.rows[0].cells, 1):
        interval = along["trajectory"]["cosine"][str(quarter)]
        assert (cell.text, cell.small) == measurement(interval["estimate"], (interval["lower"], interval["upper"]))
    assert [float(cell.text) for cell in norms.rows[0].cells] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert [column.heading for column in layers.columns] == ["0", "1", "2"]
    assert {source.path for source in exhibit.sources} == {path.as_posix() for path in [*made.blocks, *made.updates]}


def test_the_same_tables_give_the_same_bytes(made: Any, tmp_path: Path) -> None:
    again = make(tmp_path)
    assert again.figure.read_bytes() == made.figure.read_bytes()


@pytest.mark.parametrize("questions", [0, 1])
def test_a_scale_with_almost_nothing_is_drawn_and_says_so(tmp_path: Path, questions: int) -> None:
    exhibit = read_exhibit(make(tmp_path, (0,), questions).exhibit)
    assert dict(exhibit.n)["questions"] == questions
    if questions == 0:
        assert "(b) to (f) are empty" in exhibit.description and len(exhibit.tables) == 1
    else:
        assert exhibit.tables[3].rows[0].cells[0].small == "too few questions"


@pytest.mark.parametrize(("layers", "labels"), [(3, ["0", "1", "2"]), (30, [str(3 * k) for k in range(10)])])
def test_layers_are_labelled_as_far_as_there_is_room(layers: int, labels: list[str]) -> None:
    axes = Figure().add_subplot()
    places = [str(layer) for layer in range(layers)]
    prop21_figure._series(axes, {"trajectory": [None] * layers}, places, "layers", prop21_figure.SOURCE_STYLES)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == labels
