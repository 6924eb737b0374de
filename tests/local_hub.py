"""A Hugging Face Hub on this machine: as much of its protocol as fetching a model or a data set takes.

Clients reach it by the environment that `Hub.environment` gives; the endpoint is read when huggingface_hub is imported,
so they are processes of their own.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" + 34 * "0"


@dataclass(frozen=True)
class Hub:
    """Folders as repositories at one commit, called `COMMIT`, `main` or `v1`."""

    address: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client ask here, with a cache of its own."""
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(self.home), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}


@contextmanager
def serving(
    home: Path,
    *,
    models: dict[str, Path] | None = None,
    data: dict[str, Path] | None = None,
    gated: frozenset[str] = frozenset(),
) -> Iterator[Hub]:
    """A hub with `models` and data sets by `owner/name`; `home` is where its clients keep what they fetch.

    Of those that are `gated` everyone may see what files there are, and nobody may have one.
    """
    repositories = {("models", name): path for name, path in (models or {}).items()}
    repositories |= {("datasets", name): path for name, path in (data or {}).items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._answer(body=True, sent=sent)

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, *, body: bool, sent: str = "") -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            is_api = parts[0] == "api"
            parts = parts[is_api:]
            kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
            name, rest = "/".join(parts[:2]), parts[2:]
            root = repositories.get((kind, name))
            if root is None:
                self._send(404, b"", body, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            elif len(rest) > 1 and rest[1] not in (COMMIT, "main", "v1"):
                self._send(404, b"", body, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "No such revision"})
            elif is_api:
                self._send(200, json.dumps(_described(root, name, rest, sent)).encode(), body, {})
            elif name in gated:
                self._send(403, b"", body, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
            else:
                file = root.joinpath(*rest[2:])
                if not file.is_file():
                    missing = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
                    self._send(404, b"", body, {**missing, "X-Repo-Commit": COMMIT})
                else:
                    content = file.read_bytes()
                    headers = {"ETag": f'"{sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
                    self._send(200, content, body, headers)

        def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(header, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", home)
    finally:
        server.shutdown()
        server.server_close()


def run_step(hub: Hub, module: str, arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a step in a process that has `hub` for the Hugging Face Hub."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {**os.environ, **hub.environment, "PYTHONPATH": path, **more}
    return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, capture_output=True, text=True)


def error_line(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line of error that a step on bad input ends with."""
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    (found,) = [line for line in ran.stderr.splitlines() if line.startswith("error:")]
    return found


def _described(root: Path, name: str, rest: list[str], sent: str) -> Any:
    """The JSON of a repository, or of the files in it."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if rest and rest[0] in ("tree", "paths-info"):
        wanted = [path for path in files if rest[0] == "tree" or str(path.relative_to(root)) in sent]
        return [
            {
                "type": "file",
                "path": str(path.relative_to(root)),
                "size": path.stat().st_size,
                "oid": sha1(path.read_bytes()).hexdigest(),
            }
            for path in wanted
        ]
    return {
        "id": name,
        "sha": COMMIT,
        "siblings": [{"rfilename": str(path.relative_to(root))} for path in files],
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "private": False,
    }
