"""A small HTTP server that speaks vLLM's completions API and goes wrong as a test tells it to."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "some/model"
STOP = 2


def tokens(seed: int, max_tokens: int) -> list[int]:
    """The completion that belongs to a seed: of 1 to `max_tokens` tokens, the shorter ones with a stop token."""
    length = 1 + seed % max_tokens
    written = [3 + seed // (i + 1) % 60 for i in range(length)]
    return written if length == max_tokens else [*written[:-1], STOP]


class Handler(BaseHTTPRequestHandler):
    """Answers as vLLM does, except that request number k of a seed meets the server's trouble number k first."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        """`/version` and `/v1/models`."""
        if trouble := self.server.next_trouble(self.path):
            self.misbehave(trouble, {})
        elif self.path == "/version":
            self.answer(200, {"version": "0.31.0"})
        else:
            self.answer(200, {"object": "list", "data": self.server.models})

    def do_POST(self) -> None:
        """`/v1/completions`."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.add(self.headers["Authorization"])
        with self.server.at_once():
            self.server.asked.append(asked)
            written = tokens(asked["seed"], asked["max_tokens"])
            choice = {
                "index": 0,
                "text": "",
                "token_ids": written,
                "finish_reason": "stop" if written[-1] == STOP else "length",
            }
            answer = {"model": NAME, "choices": [choice]} | self.server.changes
            if trouble := self.server.next_trouble(str(asked["seed"])):
                self.misbehave(trouble, answer)
            else:
                self.server.answered[asked["seed"]] += 1
                self.answer(200, answer)

    def misbehave(self, trouble: str, answer: dict[str, Any]) -> None:
        """A status (and seconds to wait), `hang up`, `half a body`, `half of JSON` or `aborted`."""
        body = json.dumps(answer).encode()
        if trouble == "hang up":
            self.close_connection = True
        elif trouble == "half a body":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif trouble == "half of JSON":
            self.answer(200, body[: len(body) // 2])
        elif trouble == "aborted":
            answer["choices"][0]["finish_reason"] = "abort"
            self.answer(200, answer)
        else:
            status, _, pause = trouble.partition(" ")
            headers = {"Retry-After": pause} if pause else {}
            self.answer(int(status), {"error": {"message": f"it says\n{status}"}}, headers)

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """What it was asked (`asked`), with which `keys`, how often each seed was answered (`answered`), `most` at once."""

    daemon_threads = True

    def __init__(self, troubles: Sequence[str]) -> None:
        """Each seed and each GET path meets `troubles` one after the other."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.troubles = troubles
        self.changes: dict[str, Any] = {}
        self.keys: set[str | None] = set()
        self.models: list[dict[str, Any]] = [{"id": NAME, "root": NAME, "max_model_len": 128}]
        self.asked: list[dict[str, Any]] = []
        self.answered: Counter[int] = Counter()
        self.most = 0
        self._met: Counter[str] = Counter()
        self._now = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def next_trouble(self, key: str) -> str | None:
        """What goes wrong with this request, if anything."""
        with self._lock:
            met = self._met[key]
            self._met[key] += 1
        return self.troubles[met] if met < len(self.troubles) else None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Counts the requests that are inside."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def serving(*troubles: str) -> Iterator[Server]:
    """A running server."""
    with Server(troubles) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
