"""A hostile repository or remote: `raml restore` writes nothing outside the checkout."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]

PATH = "results/micro/models/seed0/base/model.safetensors"


def stored(store: Path, content: bytes, ending: str = "") -> str:
    """Put `content` into a remote, by its MD5, which is returned."""
    digest = hashlib.md5(content).hexdigest()
    path = store / "files" / "md5" / digest[:2] / (digest[2:] + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest + ending


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with records of a model that it lacks, and a remote beside it."""
    root = tmp_path / "checkout"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path}/store\n"
    )
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    records = root / "results" / "micro" / "records" / "training.json"
    records.parent.mkdir(parents=True)
    outputs = {PATH: hashlib.sha256(b"weights").hexdigest()}
    job = {"outputs": outputs, "input_checksums": {}, "rule": "r", "shellcmd": "s"}
    records.write_text(json.dumps({"jobs": [job]}))
    monkeypatch.chdir(root)
    return root


def tracked(path: str, relpath: str, store: Path) -> str:
    """A `.dvc` file of a folder that holds the model under the name `relpath`."""
    files = [{"md5": stored(store, b"weights"), "relpath": relpath}]
    digest = stored(store, json.dumps(files).encode(), ".dir")
    return f"outs:\n- path: {path}\n  md5: {digest}\n  hash: md5\n"


@pytest.mark.parametrize(
    ("path", "relpath"),
    [("models", "../../escaped"), ("models", "/no/such/folder/x"), ("../escaped", "x"), ("linked/escaped", "x")],
)
def test_nothing_is_written_elsewhere(path: str, relpath: str, checkout: Path, tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "elsewhere").mkdir()
    (checkout / "linked").symlink_to(tmp_path / "elsewhere")
    (checkout / "odd.dvc").write_text(tracked(path, relpath, tmp_path / "store"))
    told = ask("restore")
    assert told.code == 2 and "lies outside this checkout" in told.err and "Traceback" not in told.err
    assert not (tmp_path / "escaped").exists() and not Path("/no/such/folder").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_cache_elsewhere_is_the_users_own_to_set(checkout: Path, tmp_path: Path, ask: Ask) -> None:
    (checkout / "results" / "micro.dvc").write_text(
        tracked("micro/models", "seed0/base/model.safetensors", tmp_path / "store")
    )
    with (checkout / ".dvc" / "config").open("a") as file:
        file.write(f"[cache]\n    dir = {tmp_path}/elsewhere\n")
    told = ask("restore")
    assert told.code == 2 and "puts DVC's cache outside this checkout" in told.err
    assert not (tmp_path / "elsewhere").exists()
    (checkout / ".dvc" / "config.local").write_text((checkout / ".dvc" / "config").read_text())
    (checkout / ".dvc" / "config").write_text("")
    told = ask("restore")
    assert told.code == 0, told.err
    assert (checkout / PATH).read_bytes() == b"weights"
