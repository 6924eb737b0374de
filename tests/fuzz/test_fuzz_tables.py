"""Whatever a table's file holds, it is read as its schema says or refused in one line; and what fits decides claims."""

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
import yaml
from fuzzing import FULL, cases, values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from raml import schemas
from raml.claims.decide import TABLES, Measurements, decide
from raml.claims.sections import Test
from raml.errors import DataError, RamlError
from raml.evaluation.intervals import Bootstrap
from raml.schemas import column_types
from raml.storage import Provenance, read_json, read_provenance, read_table, write_table

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted(
    (
        one
        for one in vars(schemas).values()
        if isinstance(one, type) and issubclass(one, dy.Schema) and one is not dy.Schema
    ),
    key=lambda one: one.__name__,
)
ORIGIN = Provenance(scale="minimal", config_hash="0" * 12, code_version="0", seed=0)
TYPES = [pl.Int8, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Null]
CLAIMS = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text(encoding="utf-8"))["claims"]
TESTS: list[Any] = TypeAdapter(list[Test]).validate_python([one["test"] for one in CLAIMS if "test" in one])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def read(path: Path, schema: type[dy.Schema]) -> None:
    """What is no table of the schema, or has no provenance, ends with a DataError of one line."""
    for reader in (lambda: read_table(path, schema), lambda: read_provenance(path)):
        try:
            reader()
        except DataError as error:
            assert "\n" not in str(error)


def good(schema: type[dy.Schema]) -> pl.DataFrame:
    """A valid table; of trajectories, whose lists have to fit each other, one by hand."""
    if schema is not schemas.Trajectory:
        return schema.sample(3, generator=dy.random.Generator(1))
    row = {name: None if column.nullable else 0 for name, column in schema.columns().items()}
    row |= dict.fromkeys(("question_id", "writer", "engine", "engine_version", "dtype", "text"), "x")
    row |= dict.fromkeys(("finished", "correct", "formatted"), True)
    row |= {"prompt_ids": [1], "token_ids": [1, 2], "loss_mask": [True, False], "n_tokens": 2}
    return pl.DataFrame([row], schema=column_types(schema))


@pytest.fixture(scope="module")
def originals(folder: Path) -> dict[str, bytes]:
    """A small valid table of each schema, as bytes."""
    found = {}
    for schema in SCHEMAS:
        write_table(good(schema), schema, folder / "good.parquet", ORIGIN)
        found[schema.__name__] = (folder / "good.parquet").read_bytes()
    return found


@cases(6_000)
@given(data=st.data(), schema=st.sampled_from(SCHEMAS))
def test_damaged_bytes(folder: Path, originals: dict[str, bytes], data: st.DataObject, schema: type[dy.Schema]) -> None:
    content = bytearray(originals[schema.__name__])
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (folder / "odd.parquet").write_bytes(content)
    read(folder / "odd.parquet", schema)


@cases(6_000)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"PAR1"]), schema=st.sampled_from(SCHEMAS))
def test_any_bytes(folder: Path, content: bytes, head: bytes, schema: type[dy.Schema]) -> None:
    (folder / "any.parquet").write_bytes(head + content + head)
    read(folder / "any.parquet", schema)


@cases(6_000)
@given(data=st.data(), schema=st.sampled_from(SCHEMAS))
def test_other_columns(folder: Path, data: st.DataObject, schema: type[dy.Schema]) -> None:
    names = data.draw(st.lists(st.sampled_from([*column_types(schema), "colour"]), unique=True, max_size=30))
    rows = data.draw(st.integers(0, 3))
    own, columns = column_types(schema), {}
    for name in names:
        kind = own[name] if name in own and data.draw(st.integers(0, 3)) else data.draw(st.sampled_from(TYPES))
        column = pl.Series([data.draw(st.sampled_from([None, 0, -1, 1])) for _ in range(rows)], dtype=pl.Int64)
        try:
            columns[name] = column.cast(kind, strict=False)
        except pl.exceptions.PolarsError:
            columns[name] = column
    origin = data.draw(st.sampled_from(["", "{}", "[", ORIGIN.model_dump_json(), '{"scale": 1}']))
    pl.DataFrame(columns).write_parquet(folder / "other.parquet", metadata={"raml": origin})
    read(folder / "other.parquet", schema)


@cases(5_000)
@given(content=st.binary(max_size=80) | st.builds(lambda value: json.dumps(value).encode(), values))
def test_any_json(folder: Path, content: bytes) -> None:
    (folder / "any.json").write_bytes(content)
    try:
        read_json(folder / "any.json")
    except DataError as error:
        assert "\n" not in str(error)


@st.composite
def odd_tables(draw: st.DrawFn) -> dict[str, pl.DataFrame]:
    """Valid tables of what claims are decided from: few rows, equal names, extreme numbers."""
    numbers = draw(st.sampled_from([[0.0], [0.0, 1.0], [1e308, 0.0], [5e-324, 1.0], [0.5, 0.7, 2.0]]))
    rows = draw(st.integers(0, 40))
    found = {}
    for name, schema in TABLES.items():
        generator = dy.random.Generator(draw(st.integers(0, 10**6)))
        table = schema.sample(rows, generator=generator)
        for column, kind in column_types(schema).items():
            if kind == pl.Float64:
                drawn = [numbers[generator.sample_int(1, min=0, max=len(numbers))[0]] for _ in range(table.height)]
                table = table.with_columns(pl.Series(column, drawn, dtype=pl.Float64))
            elif column in ("model", "benchmark", "question_id", "seed") and table.height:
                few = {"model": ["base", "sft_long", "sft_short"], "seed": [0, 1]}.get(column, ["x", "y"])
                drawn = [few[generator.sample_int(1, min=0, max=len(few))[0]] for _ in range(table.height)]
                table = table.with_columns(pl.Series(column, drawn, dtype=kind))
        found[name] = schema.validate(schema.filter(table)[0])
    return found


@cases(400)
@given(tables=odd_tables())
def test_odd_tables_decide_claims(tables: dict[str, pl.DataFrame]) -> None:
    measurements = Measurements(tables, {}, [], 4, 2, Bootstrap(0, 20, 0.95))
    for test in TESTS if FULL else TESTS[::3]:
        try:
            decision, _ = decide(test, measurements)
        except RamlError as error:
            assert "\n" not in str(error)
        else:
            assert decision.verdict in ("holds", "contradicted", "inconclusive")
