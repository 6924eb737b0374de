from pathlib import Path
from typing import Any

import pytest

from raml.errors import DataError
from raml.report.exhibit import Cell, Column, Exhibit, Row, Table, read_exhibit, read_sources, write_exhibit
from raml.storage import write_json
from report_results import Results, curve_rows, write_curves


def test_round_trip(exhibit_json: dict[str, Any], tmp_path: Path) -> None:
    exhibit = Exhibit.model_validate(exhibit_json)
    write_exhibit(exhibit, tmp_path / "exhibit.json")
    assert read_exhibit(tmp_path / "exhibit.json") == exhibit


def test_a_malformed_exhibit_is_named(exhibit_json: dict[str, Any], tmp_path: Path) -> None:
    exhibit_json["surprise"] = 1
    write_json(exhibit_json, tmp_path / "exhibit.json")
    with pytest.raises(DataError, match=r"exhibit\.json is not an exhibit: surprise"):
        read_exhibit(tmp_path / "exhibit.json")
    with pytest.raises(DataError, match="does not exist"):
        read_exhibit(tmp_path / "missing.json")


def test_sources_carry_the_files_provenance(results: Results) -> None:
    source = read_sources(results.curves[:1], "minimal")[0]
    assert (source.config_hash, source.code_version, source.seed) == ("c0ffee000000", "0.1.0+abc", 0)
    assert len(source.sha256) == 12


def test_a_file_of_another_scale_is_refused(tmp_path: Path) -> None:
    path = write_curves(tmp_path / "curves.parquet", curve_rows(0), scale="paper")
    with pytest.raises(DataError, match="was made at scale 'paper', but this report is of scale 'minimal'"):
        read_sources([path], "minimal")


def test_markdown_keeps_the_table_whole() -> None:
    table = Table(
        caption="A | B",
        corner="technique",
        columns=[Column(heading="Pass@8", group="rows", side="here"), Column(heading="<b>")],
        rows=[Row(heading="a|b", cells=[Cell(text="1.0", small="0.5 to 2.0"), Cell(text="x\ny")])],
        note="a note",
    )
    assert table.markdown().splitlines() == [
        "**A | B**",
        "",
        "here",
        "",
        "| technique | rows Pass@8 |",
        "| --- | ---: |",
        r"| a\|b | 1.0 (0.5 to 2.0) |",
        "",
        "| technique | &lt;b> |",
        "| --- | ---: |",
        r"| a\|b | x y |",
        "",
        "a note",
    ]
