"""Whatever a table's file holds, it is read as its schema says or refused in one line."""

import json
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from fuzzing import cases, values
from hypothesis import example, given
from hypothesis import strategies as st

from raml import schemas
from raml.errors import DataError
from raml.schemas import column_types
from raml.storage import Provenance, read_json, read_provenance, read_table, write_table

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

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
def test_damaged_files(folder: Path, originals: dict[str, bytes], data: st.DataObject, schema: type[dy.Schema]) -> None:
    content = bytearray(originals[schema.__name__])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
        content += data.draw(st.binary(max_size=4))
    (folder / "odd.parquet").write_bytes(content)
    read(folder / "odd.parquet", schema)


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
@example(content=b"[" * 9_999)
def test_any_json(folder: Path, content: bytes) -> None:
    (folder / "any.json").write_bytes(content)
    try:
        read_json(folder / "any.json")
    except DataError as error:
        assert "\n" not in str(error)
