import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from byte_level import byte_level_tokenizer
from raml.errors import DataError
from raml.report.page import content_hash
from raml.report.trajectories import full_shade, part_text, places_of
from raml.report.viewer_chunks import QUESTIONS_PER_PART, part_names
from raml.report.viewer_data import pieces, read_followed
from raml.schemas import ProbeCurve, column_types
from raml.storage import METADATA_KEY, write_table
from report_results import HOSTILE, SEEDS, TURNED, Results, curve_rows, no_thinking_rows, provenance, write_curves


def part(results: Results, seed: int) -> dict[str, Any]:
    """What a part hands to the page."""
    name = f"seed{seed}-sft_long-rows-0"
    text = (results.root / f"report/trajectories/{name}.js").read_text(encoding="utf-8")
    called = re.fullmatch(rf'ramlPart\("{name}",(.*)\);\n', text, re.DOTALL)
    assert called
    return dict(json.loads(called[1]))


def test_parts_hold_every_trajectory_with_its_curves(results: Results) -> None:
    for seed in SEEDS:
        rows = pl.DataFrame(curve_rows(seed))
        found = part(results, seed)
        assert found["questions"].keys() == set(rows["question_id"])
        entry = found["questions"]["rows-03"][7]
        curve = rows.filter(pl.col("trajectory_id") == "rows-03/sft_long/7")["nll"].to_numpy()
        assert (entry["sample"], entry["correct"]) == (7, False)
        assert entry["nll"]["thinking"] == np.rint(1000 * curve).astype(int).tolist()
        assert "".join(found["vocabulary"][place] for place in entry["tokens"]) == "7 7 7 7 7 7 7"
        assert "positions" not in entry  # every one was probed


def test_hostile_text_ends_no_script(results: Results, pages: dict[str, str]) -> None:
    page = pages["trajectories"]
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert data and script
    assert f"'{content_hash(script[1])}' 'self'" in page
    assert json.loads(data[1])["questions"][0]["prompt"] == f"A +0 +1 ; $x$ {HOSTILE} {TURNED} rows ?"
    assert "</script>" not in part_text("a", {"vocabulary": {HOSTILE: 0}, "questions": {}})


def test_names_of_parts_follow_from_the_configuration() -> None:
    names = part_names([0, 1], ["base"], {"rows": QUESTIONS_PER_PART, "path": QUESTIONS_PER_PART + 1})
    assert names[:3] == ["seed0-base-rows-0", "seed0-base-path-0", "seed0-base-path-1"] and len(names) == 6
    asked = pl.DataFrame({"split": ["path"] * (QUESTIONS_PER_PART + 1)}).with_columns(id=pl.int_range(pl.len()))
    assert places_of(asked)[QUESTIONS_PER_PART - 1] == ("path", 0)
    assert places_of(asked)[QUESTIONS_PER_PART] == ("path", 1)


def test_colours_are_full_at_a_high_quantile_of_all_changes() -> None:
    assert full_shade(np.zeros(0)) == full_shade(np.zeros(9)) == 1.0
    assert full_shade(np.array([0.1] * 999 + [50.0])) == 0.1


def test_pieces_of_byte_level_vocabularies_join_to_the_text() -> None:
    tokenizer = byte_level_tokenizer(300).backend_tokenizer
    text = "two é 😀 \u202eturned"
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    added = pieces(tokenizer, ids)
    assert "".join(added) == text and len(added) == len(ids)
    face = added.index(next(piece for piece in added if "😀" in piece))
    assert added[face + 1] == ""  # further bytes of the same character


def refused(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], scale: str
) -> str:
    curves = write_curves(tmp_path / "curves.parquet", rows, scale)
    with pytest.raises(SystemExit, match="2"):
        results.lay_out_trajectories(tmp_path / "report", curves=[curves, results.curves[1]])
    assert not (tmp_path / "report").exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_curves_of_another_scale_are_refused(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(results, tmp_path, capsys, curve_rows(0), "small")
    assert "curves.parquet was made at scale 'small', but this report is of scale 'minimal'" in line


def test_curves_that_are_not_finite_are_refused(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ProbeCurve.cast(pl.DataFrame(curve_rows(0)))
    table = table.with_columns(nll=pl.when(pl.col("position") == 2).then(float("nan")).otherwise("nll"))
    table.write_parquet(tmp_path / "nan.parquet", metadata={METADATA_KEY: provenance().model_dump_json()})
    with pytest.raises(SystemExit, match="2"):
        results.lay_out_trajectories(tmp_path / "report", curves=[tmp_path / "nan.parquet", results.curves[1]])
    assert "nan.parquet breaks the schema ProbeCurve: " in capsys.readouterr().err


def test_curves_older_than_their_samples_are_refused(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"length": row["length"] + 1} for row in curve_rows(0)]
    line = refused(results, tmp_path, capsys, rows, "minimal")
    assert "the curves are stale: probe again" in line


def test_modes_probe_the_same_positions(results: Results, tmp_path: Path) -> None:
    rows = curve_rows(0)
    curves = write_curves(tmp_path / "curves.parquet", [*rows, *no_thinking_rows(rows)[1:]])
    with pytest.raises(DataError, match="modes probe other positions of sample 0"):
        list(read_followed(curves, results.samples[0]))


def test_without_trajectories_the_page_says_so(results: Results, tmp_path: Path) -> None:
    empty = []
    for seed in SEEDS:
        empty.append(tmp_path / f"seed{seed}/sft_long/curves.parquet")
        write_table(ProbeCurve.cast(pl.DataFrame(schema=column_types(ProbeCurve))), ProbeCurve, empty[-1], provenance())
    page = results.lay_out_trajectories(tmp_path / "report", curves=empty)
    assert "0 trajectories of 6 questions were followed" in page.read_text(encoding="utf-8")
