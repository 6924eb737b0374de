"""A vLLM server (`vllm serve MODEL`) as a sampling engine, by its OpenAI-compatible API.

Prompts and completions travel as token ids. Requests are sent side by side; what fails for a while (429, 5xx, lost
connections, half an answer) is sent again, with the same seed, after a pause that doubles from try to try. Every
request ends with one completion or the whole call with an error.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import Any

import httpx

from raml.config import EngineSettings, Sampling
from raml.errors import ConfigError, InputError
from raml.trajectories.engine import Completion, Origin, Request, check_prompts, in_order
from raml.trajectories.retries import NoAnswerError, judge_answer, with_retries
from raml.trajectories.vllm_parameters import completion, request_seed, sampling_parameters

TRIES = 9  # of a request: two to three minutes, in which a server can be started again
TRIES_AT_START = 3
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 3600.0  # a long completion waits in the server's queue too


class ServerEngine:
    """The `Engine` for models that a vLLM server holds, for other jobs too."""

    def __init__(
        self, model: Path | str, sampling: Sampling, stop_ids: Collection[int], settings: EngineSettings
    ) -> None:
        """Ask the server what it is; a completion ends after any of `stop_ids`.

        Args:
            model: what the server must serve: the name or folder that it was started with, or its
                `--served-model-name`.
            sampling: parameters; `batch_size` and `threads` are the server's own affair.
            stop_ids: tokens that end a completion and stay in it.
            settings: the server's `url`, how many requests are under way at once, and the precision that it was
                started with, which it does not tell.

        Raises:
            ConfigError: the url is none; vLLM does not sample at this temperature.
            InputError: the server is no vLLM server or serves another model.
            RamlError: it does not answer.
        """
        self.sampling = sampling
        self._stop_ids = frozenset(stop_ids)
        self._parameters = sampling_parameters(sampling, stop_ids)
        self._url = _checked(settings.url or "")
        self._concurrency = settings.concurrency
        with self._client() as client:
            version = self._ask(client, "/version").get("version")
            self._served, self._context = self._find(str(model), self._ask(client, "/v1/models"))
        self.origin = Origin("server", str(version), settings.dtype)

    def sample(self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None) -> list[Completion]:
        """One completion per request, in order; see `Engine.sample`."""
        return in_order(self.stream(requests, seed, max_tokens=max_tokens), len(requests))

    def stream(
        self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Each request's place and completion, in the order in which the server ends them; see `Engine.stream`.

        Raises:
            InputError: a prompt is empty or does not fit the model's context; the server refuses a request.
            RamlError: the server does not answer, or only with errors, for longer than `TRIES` last.
        """
        limit = max_tokens or self.sampling.max_tokens
        check_prompts(requests, max_tokens=limit, context=self._context)
        given_up = Event()
        with self._client() as client, ThreadPoolExecutor(self._concurrency) as pool:
            jobs = {
                pool.submit(self._complete, client, request, seed, limit, given_up): place
                for place, request in enumerate(requests)
            }
            try:
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            finally:  # an error, an interrupt, a caller who has enough: only what is under way is waited for
                given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _client(self) -> httpx.Client:
        key = os.environ.get("VLLM_API_KEY")  # where `vllm serve` looks for it too
        return httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=self._concurrency),
        )

    def _ask(self, client: httpx.Client, path: str) -> dict[str, Any]:
        return with_retries(lambda: judge_answer(client.get(path)), f"{self._url}{path}", tries=TRIES_AT_START)

    def _find(self, model: str, answer: dict[str, Any]) -> tuple[str, int | None]:
        """The served name of `model`, and its context."""
        try:
            served = [(card["id"], card.get("root") or "", card.get("max_model_len")) for card in answer["data"]]
        except (KeyError, TypeError, AttributeError):
            raise InputError(f"{self._url}/v1/models lists no models; is it a vLLM server?") from None
        for name, root, context in served:
            if model in (name, root) or _is_same_folder(model, root):
                return name, context
        names = ", ".join(name for name, _, _ in served)
        raise InputError(f"{self._url} serves {names or 'nothing'}, not {model}; start `vllm serve {model}` there")

    def _complete(
        self, client: httpx.Client, request: Request, seed: int, max_tokens: int, given_up: Event
    ) -> Completion:
        asked = {
            **self._parameters,
            "model": self._served,
            "prompt": request.prompt_ids,
            "seed": request_seed(seed, request),
            "max_tokens": max_tokens,
            "return_token_ids": True,
        }
        return with_retries(
            lambda: self._read(judge_answer(client.post("/v1/completions", json=asked)), max_tokens),
            f"{self._url}: sample {request.sample} of question {request.question_id}",
            tries=TRIES,
            given_up=given_up,
        )

    def _read(self, answer: dict[str, Any], max_tokens: int) -> Completion:
        """The completion of an answer.

        Raises:
            NoAnswerError: it is not whole.
            InputError: the server does not sample as it was asked to.
        """
        try:
            (choice,) = answer["choices"]
            reason, token_ids = choice["finish_reason"], choice.get("token_ids")
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NoAnswerError("an answer without one completion") from None
        if reason not in ("stop", "length"):
            raise NoAnswerError(f"a completion that ended by {reason!r}")
        if not isinstance(token_ids, list) or not token_ids:
            raise InputError(f"{self._url} returns no token ids; vLLM 0.31 does")
        if answer.get("model") != self._served:
            raise InputError(f"{self._url} now serves {answer.get('model')}, not {self._served}")
        written = completion(token_ids, self._stop_ids)
        if not written.finished and len(token_ids) != max_tokens:
            raise InputError(
                f"{self._url} ended a completion after {len(token_ids)} tokens by {reason!r}, which was not asked for; "
                "start it with --generation-config vllm"
            )
        return written


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"engine.url = {url} is no URL ({error})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"engine.url = {url}: it must begin with http:// or https:// and name a host")
    return url.rstrip("/").removesuffix("/v1")


def _is_same_folder(one: str, other: str) -> bool:
    return Path(one).is_dir() and Path(other).is_dir() and Path(one).resolve() == Path(other).resolve()
