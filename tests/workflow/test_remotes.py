"""The presets of DVC's remotes, used with real servers on this machine; no secret in git."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from checkout import ROOT
from versioned import run

from raml.cli import dvc_paths

PRESETS = ROOT / "config" / "remotes"
SECRETS = ("access_key_id", "secret_access_key", "session_token", "password", "passphrase", "connection_string")

Remote = Callable[[Path], dict[str, str]]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file that DVC keeps, and this project's DVC configuration; no credentials around it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "repository"
    (root / ".dvc").mkdir(parents=True)
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, root / ".dvc" / name)
    (root / "weights").write_bytes(os.urandom(300_000))
    run(root, "git", "init", "--quiet")
    return root


@pytest.mark.parametrize(("preset", "scheme"), [("folder", ""), ("s3", "s3://"), ("ssh", "ssh://")])
def test_a_preset_is_a_configuration_of_dvc(
    repository: Path, monkeypatch: pytest.MonkeyPatch, preset: str, scheme: str
) -> None:
    shutil.copy(PRESETS / f"{preset}.ini", repository / ".dvc" / "config.local")
    monkeypatch.chdir(repository)
    (found,) = dvc_paths.remotes().items()
    assert found[0] == "store" and found[1].startswith(scheme or str(repository))


def test_git_keeps_no_credentials_of_dvc() -> None:
    assert "/config.local" in (ROOT / ".dvc" / ".gitignore").read_text().splitlines()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert ROOT / ".dvc" / "config" in tracked and ROOT / ".dvc" / "config.local" not in tracked
    settings = [path for path in tracked if path.suffix == ".ini" or path.parent.name == ".dvc"]
    assert len(settings) >= 4
    for path in settings:
        names = re.findall(r"^\s*(\w+)\s*=", path.read_text(), re.MULTILINE)
        assert not set(names) & set(SECRETS), path
        assert not re.search(r"://[^/\s]*:[^/\s]*@", path.read_text()), path


@pytest.mark.dvc
@pytest.mark.parametrize("preset", ["folder", "s3", "ssh"])
def test_results_travel_by_a_preset_and_credentials_stay_out_of_git(
    repository: Path, preset: str, request: pytest.FixtureRequest
) -> None:
    connect: Remote = request.getfixturevalue(f"{preset}_remote")
    shutil.copy(PRESETS / f"{preset}.ini", repository / ".dvc" / "config.local")
    settings = connect(repository)
    run(repository, "dvc", "add", "--quiet", "weights", **settings)
    run(repository, "dvc", "push", **settings)
    before = (repository / "weights").read_bytes()
    (repository / "weights").unlink()
    shutil.rmtree(repository / ".dvc" / "cache")
    run(repository, "dvc", "pull", **settings)
    assert (repository / "weights").read_bytes() == before
    run(repository, "git", "add", "--all")
    assert run(repository, "git", "ls-files", ".dvc").split() == [".dvc/.gitignore", ".dvc/config"]
    assert (repository / ".dvc" / "config").read_bytes() == (ROOT / ".dvc" / "config").read_bytes()


def change(root: Path, option: str, value: str) -> None:
    """As the presets' heads say."""
    run(root, "dvc", "remote", "modify", "--local", "store", option, value)


@pytest.fixture
def folder_remote(tmp_path: Path) -> Remote:
    def connect(root: Path) -> dict[str, str]:
        change(root, "url", str(tmp_path / "disk"))
        return {}

    return connect


@pytest.fixture
def s3_remote() -> Iterator[Remote]:
    """A server that speaks S3's protocol."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "name", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}

    def connect(root: Path) -> dict[str, str]:
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=keys["AWS_DEFAULT_REGION"],
            aws_access_key_id="name",
            aws_secret_access_key="secret",
        ).create_bucket(Bucket="results")
        change(root, "url", "s3://results/raml")
        change(root, "endpointurl", endpoint)
        return keys

    yield connect
    server.stop()


@pytest.fixture
def ssh_remote(tmp_path: Path) -> Iterator[Remote]:
    """An SSH server with SFTP that lets one key in."""
    import asyncssh

    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    user.write_private_key(folder / "key")
    user.write_public_key(folder / "authorized")
    port: Future[int] = Future()
    stopped = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        allowed = asyncssh.read_authorized_keys(str(folder / "authorized"))
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=allowed, sftp_factory=True
        )
        port.set_result(server.get_port())
        await stopped.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    number = port.result(timeout=60)
    known = host.export_public_key().decode().strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{number} {known}\n")

    def connect(root: Path) -> dict[str, str]:
        change(root, "url", f"ssh://someone@127.0.0.1:{number}{tmp_path}/served")
        change(root, "keyfile", str(folder / "key"))
        return {}

    yield connect
    loop.call_soon_threadsafe(stopped.set)
    thread.join(timeout=60)
    assert not thread.is_alive()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", number)) != 0
