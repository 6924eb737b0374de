import errno
import os
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from raml.errors import DataError, RamlError
from raml.schemas import Evaluation
from raml.storage import (
    Provenance,
    atomic_folder,
    atomic_path,
    file_hash,
    read_json,
    read_provenance,
    read_table,
    write_json,
    write_table,
    write_text,
)

PROVENANCE = Provenance(scale="micro", config_hash="c", code_version="v", seed=1)


def evaluations(n: int = 4, c: int = 2, questions: int = 3) -> pl.DataFrame:
    row = {"model": "base", "seed": 0, "benchmark": "rows", "kind": "in_domain", "n": n, "c": c, "formatted": n}
    rows = [{**row, "question_id": f"q{number}", "finished": n, "tokens": 10} for number in range(questions)]
    return pl.DataFrame(rows, schema=Evaluation.create_empty().schema)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_table_comes_back_with_its_provenance(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "e.parquet"
    write_table(evaluations(), Evaluation, path, PROVENANCE)
    assert_frame_equal(read_table(path, Evaluation), evaluations())
    assert read_provenance(path) == PROVENANCE
    write_table(evaluations(), Evaluation, tmp_path / "deep" / "f.parquet", PROVENANCE)
    assert file_hash(tmp_path / "deep" / "f.parquet") == file_hash(path)  # the same bytes
    (tmp_path / "deep" / "f.parquet").unlink()
    assert files(tmp_path) == ["deep", "e.parquet"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (evaluations(n=1, c=2), "c_at_most_n"),
        (evaluations().drop("tokens"), "tokens"),
        (pl.concat([evaluations(), evaluations()]), "primary_key"),
    ],
    ids=["a broken rule", "a missing column", "a repeated key"],
)
def test_a_table_that_breaks_its_schema_is_not_written(tmp_path: Path, table: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=f"breaks the schema Evaluation.*{message}"):
        write_table(table, Evaluation, tmp_path / "e.parquet", PROVENANCE)
    assert files(tmp_path) == []


@given(share=st.floats(0, 0.99))
def test_a_truncated_table_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("truncated") / "e.parquet"
    write_table(evaluations(), Evaluation, path, PROVENANCE)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(DataError, match=r"is truncated or not Parquet .*; delete it and rerun") as raised:
        read_table(path, Evaluation)
    assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="carries no provenance"):
        read_provenance(path)


def test_a_table_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(DataError, match=r"e\.parquet breaks the schema Evaluation") as raised:
        read_table(path, Evaluation)
    assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="carries no provenance of this package"):
        read_provenance(path)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; the workflow makes it"):
        read_table(tmp_path / "e.parquet", Evaluation)
    with pytest.raises(DataError, match="does not exist; the workflow makes it"):
        read_json(tmp_path / "e.json")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda children: st.lists(children)))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "v.json"
    write_json(value, path)
    assert read_json(path) == value
    os.truncate(path, 0)
    with pytest.raises(DataError, match="is not JSON"):
        read_json(path)


def test_a_failing_write_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    path, model = tmp_path / "v.txt", tmp_path / "model"
    write_text("old", path)
    with atomic_folder(model) as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomic_folder(model) as folder:
        (folder / "weights").write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == (model / "weights").read_text() == "old"
    assert files(tmp_path) == ["model", "v.txt", "weights"]


def test_a_folder_is_whole_or_missing_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    with atomic_folder(path) as folder:
        (folder / "old").write_text("old")
    replace, seen = Path.replace, []

    def observed(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        seen.append(files(path) if path.exists() else None)
        return moved

    monkeypatch.setattr(Path, "replace", observed)
    with atomic_folder(path) as folder:
        (folder / "new").write_text("new")
        (folder / "new").chmod(0o600)
    assert stat.S_IMODE((path / "new").stat().st_mode) == 0o644
    assert seen == [None, ["new"]]
    assert files(tmp_path) == ["model", "new"]
    (tmp_path / ".model.old").mkdir()  # a killed job's
    (tmp_path / ".model.old" / "half").write_text("gone")
    with atomic_folder(path) as folder:
        (folder / "newer").write_text("newer")
    assert files(tmp_path) == ["model", "newer"]


def test_what_a_killed_job_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".v.txt.tmp").write_text("half of an earlier one")
    (tmp_path / ".model.tmp").mkdir()
    (tmp_path / ".model.tmp" / "half").write_text("")
    write_text("whole", tmp_path / "v.txt")
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("whole")
    assert files(tmp_path) == ["model", "v.txt", "weights"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["Python", "a Rust library"],
)
def test_a_full_disk_is_named(tmp_path: Path, error: Exception) -> None:
    for atomic in (atomic_path, atomic_folder):
        path = tmp_path / "out"
        with pytest.raises(RamlError, match=f"cannot write {path}: No space left on device") as raised, atomic(path):
            raise error
        assert raised.value.exit_code == 1
        assert files(tmp_path) == []
