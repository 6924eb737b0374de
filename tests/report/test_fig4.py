import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from raml.config import CommunityModel, EngineSettings, Evaluation
from raml.evaluation.metrics import mg_pass_at_k
from raml.report import fig4
from raml.report.exhibit import Exhibit, read_exhibit
from raml.schemas import Evaluation as EvaluationTable
from raml.schemas import column_types
from raml.storage import write_table
from report_results import provenance, step

SETTINGS = Evaluation(n=8, k=4, bootstrap_resamples=100, confidence=0.95)
BENCHMARKS = {"AIME24": "in_domain_hard", "MATH500-L5": "in_domain", "GPQA-Diamond": "other_domain"}
MODELS = {
    "Light-32B": ("off_policy", 76_000, 0.7),
    "Small-32B": ("off_policy", 817, 0.6),
    "Tiny-32B": ("off_policy", 1_000, 0.55),
    "Zero-32B": ("on_policy", 57_000, 0.65),
    "Clip-32B": ("on_policy", 17_000, 0.5),
    "Clean-32B": ("on_policy", 8_500, 0.45),
}
ENGINE = EngineSettings(name="torch", dtype="float32")
COMMUNITY = {
    name: CommunityModel(model=f"some/{name}", revision="main", engine=ENGINE, training=training, questions=questions)
    for name, (training, questions, _) in MODELS.items()
}


def rows(models: dict[str, tuple[str, int, float]] = MODELS) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "model": model,
            "seed": 0,
            "benchmark": benchmark,
            "kind": kind,
            "question_id": f"{benchmark}-{number:05d}",
            "n": SETTINGS.n,
            "c": int(rng.binomial(SETTINGS.n, np.clip(rng.normal(skill, 0.25), 0, 1))),
            "formatted": SETTINGS.n,
            "finished": SETTINGS.n,
            "tokens": 1000,
        }
        for model, (_, _, skill) in models.items()
        for benchmark, kind in BENCHMARKS.items()
        for number in range(12)
    ]


def draw(root: Path, models: dict[str, tuple[str, int, float]] = MODELS, scale: str = "minimal") -> Exhibit:
    table = EvaluationTable.cast(pl.DataFrame(rows(models), schema=column_types(EvaluationTable)))
    write_table(table, EvaluationTable, root / "community.parquet", provenance(scale))
    job = fig4.Job(evaluation=SETTINGS, community=COMMUNITY)
    files = {name: root / file for name, file in {"figure": "fig4.svg", "exhibit": "fig4.json"}.items()}
    step(fig4, job, fig4.Job, fig4.FILES, evaluations=root / "community.parquet", **files)
    return read_exhibit(root / "fig4.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fig4")


@pytest.fixture(scope="module")
def exhibit(folder: Path) -> Exhibit:
    return draw(folder)


def test_models_stand_by_kind_of_training_and_numbered_by_size(exhibit: Exhibit) -> None:
    (table,) = exhibit.tables
    assert [(row.group, row.heading, row.cells[0].text) for row in table.rows] == [
        ("On-policy", "3  Clean-32B", "8,500"),
        ("On-policy", "4  Clip-32B", "17,000"),
        ("On-policy", "5  Zero-32B", "57,000"),
        ("Off-policy", "1  Small-32B", "817"),
        ("Off-policy", "2  Tiny-32B", "1,000"),
        ("Off-policy", "6  Light-32B", "76,000"),
    ]


def test_scores_are_those_of_all_n_samples(exhibit: Exhibit) -> None:
    (table,) = exhibit.tables
    names = [(column.group, column.heading) for column in table.columns]
    cells = dict(zip(names, table.rows[0].cells, strict=True))
    own = [row for row in rows() if row["model"] == "Clean-32B"]
    for places, place in (({"AIME24"}, "AIME24"), (set(BENCHMARKS), "pooled")):
        c = np.array([row["c"] for row in own if row["benchmark"] in places])
        n = np.full_like(c, SETTINGS.n)
        assert cells[place, "Avg@8"].text == f"{100 * (c / n).mean():.1f}"
        assert cells[place, "mG-Pass@8"].text == f"{100 * mg_pass_at_k(n, c, n).mean():.1f}"
        assert " to " in cells[place, "Avg@8"].small


def test_the_figure_marks_every_model_once_in_every_panel(exhibit: Exhibit, folder: Path) -> None:
    svg = (folder / "fig4.svg").read_text()
    for place in ("aime24", "math500-l5", "gpqa-diamond", "pooled"):
        for metric in ("avg8", "mg-pass8"):
            assert svg.count(f'id="fig4-{place}-{metric}"') == 1
    for model, (_, questions, _) in MODELS.items():
        assert f"{model} ({questions:,})" in svg
    assert svg.count(">Clean-32B (8,500)<") <= 1
    assert exhibit.n[0] == ("models", 6)


def test_the_same_tables_give_the_same_figure(folder: Path, exhibit: Exhibit, tmp_path: Path) -> None:
    draw(tmp_path)
    assert (tmp_path / "fig4.svg").read_bytes() == (folder / "fig4.svg").read_bytes()


@pytest.mark.parametrize(
    ("models", "scale", "message"),
    [
        ({**MODELS, "Other-32B": ("on_policy", 5, 0.5)}, "minimal", "but community names"),
        (dict(list(MODELS.items())[1:]), "minimal", "but community names"),
        (MODELS, "micro", "made at scale 'micro'"),
    ],
    ids=["a model too many", "a model too few", "another scale"],
)
def test_other_tables_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], models: Any, scale: str, message: str
) -> None:
    with pytest.raises(SystemExit) as left:
        draw(tmp_path, models, scale)
    assert left.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "fig4.json").exists()


def test_one_model_of_one_kind_is_enough(tmp_path: Path) -> None:
    job = {"evaluation": SETTINGS.model_dump(), "community": {"Zero-32B": COMMUNITY["Zero-32B"].model_dump()}}
    table = EvaluationTable.cast(
        pl.DataFrame(rows({"Zero-32B": MODELS["Zero-32B"]}), schema=column_types(EvaluationTable))
    )
    write_table(table, EvaluationTable, tmp_path / "community.parquet", provenance())
    files = {"figure": tmp_path / "fig4.svg", "exhibit": tmp_path / "fig4.json"}
    section = fig4.Job.model_validate_json(json.dumps(job))
    step(fig4, section, fig4.Job, fig4.FILES, evaluations=tmp_path / "community.parquet", **files)
    assert [row.heading for row in read_exhibit(tmp_path / "fig4.json").tables[0].rows] == ["1  Zero-32B"]
