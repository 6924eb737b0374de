"""The plan's formulas beside what a training step really does: operations, memory, seconds (`make bench`)."""

import random
import weakref
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import PrinterCallback, Trainer
from transformers.trainer_utils import SaveStrategy

from benchmarks.timing import timed
from raml.config import Scale
from raml.schemas import Question, Trajectory
from raml.storage import read_table
from raml.training.costs import Load, forward_flops, training_flops
from raml.training.memory import memory
from raml.training.sft import make_trainer, training_examples
from raml.training.start import load_start, shape_of
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Request
from raml.trajectories.sampler import TorchSampler

STEPS = 6
COMPLETIONS = 16  # of each question

Shape = tuple[int, ...]


class FlopCounter(FlopCounterMode):
    """PyTorch's counter, which does not know attention on CPUs and products that are added in place."""

    def __init__(self) -> None:
        """Count nothing yet."""
        aten = torch.ops.aten
        super().__init__(
            display=False,
            custom_mapping={
                aten._scaled_dot_product_flash_attention_for_cpu: _forward_attention,
                aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward_attention,
                aten.addmm_: _added_product,
            },
        )

    @property
    def causal(self) -> float:
        """Operations so far, of attention the causal half."""
        counts = self.get_flop_counts().get("Global", {})
        return sum(count / 2 if "attention" in str(name) else count for name, count in counts.items())


class PeakMemory(TorchDispatchMode):
    """Most bytes of tensors made within the context that were alive at once; `peak` says how many."""

    def __init__(self) -> None:
        """Nothing is alive yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive: dict[int, Any] = {}
        self._older: set[int] = set()

    def know(self, tensors: Any) -> None:
        """Do not count `tensors`, which exist already."""
        self._older |= {leaf.untyped_storage()._cdata for leaf in tree_leaves(tensors) if isinstance(leaf, Tensor)}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        """Run `function` and count the storages that it made until they are freed."""
        made = function(*arguments, **(named or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in self._older:
            return

        def freed(_: object) -> None:
            self.now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def count_flops(step: Callable[[], object]) -> float:
    """Operations of a step."""
    with FlopCounter() as counter:
        step()
    return float(counter.causal)


def peak_bytes(step: Callable[[], object], model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Peak memory of a training step in bytes, with the weights and the optimiser's state, which must be there."""
    held = [*model.parameters(), *model.buffers(), *tree_leaves(optimiser.state_dict()["state"])]
    peak = PeakMemory()
    peak.know(held)
    with peak:
        step()
    unique = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in held}
    return int(peak.peak + sum(unique.values()))


def plan_benchmark(start: Path, trajectories: Path, questions: Path, scale: Scale) -> dict[str, Any]:
    """Some steps of SFT and some completions of the model in `start`: what they took and what the formulas say.

    Seconds are CPU seconds of this process. Utilisations are shares of `device.tflops`, to be put into the
    configuration.
    """
    torch.set_num_threads(scale.hardware.threads)
    return {"sft": _sft(start, trajectories, scale), "writing": _writing(start, questions, scale)}


def _sft(start: Path, trajectories: Path, scale: Scale) -> dict[str, Any]:
    settings, hardware = scale.sft["long"], scale.hardware
    model, tokenizer = load_start(start, settings, hardware)
    shape = shape_of(model.config)
    examples = training_examples(read_table(trajectories, Trajectory), settings, random.Random(0))
    examples = examples[: STEPS * settings.batch_size]
    lengths = [len(example["input_ids"]) for example in examples]
    with TemporaryDirectory() as folder:
        trainer = make_trainer(model, tokenizer, examples, settings, hardware, 0, Path(folder))
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.remove_callback(PrinterCallback)
        seconds, _ = timed(trainer.train)
        rows = trainer.args.per_device_train_batch_size
        flops, peak = _one_pass(trainer, examples[:rows])
    # On a CPU the head is applied to every position.
    predicted = training_flops(shape, Load.of((0, length) for length in lengths))
    first = Load.of([(0, max(lengths[:rows]))] * rows)
    return {
        "steps": trainer.state.global_step,
        "tokens": sum(lengths),
        "flops_of_a_pass": {"formula": training_flops(shape, first), "counted": flops},
        "peak_bytes_of_a_pass": {
            "formula": memory(shape, hardware, rows=rows, tokens=max(lengths[:rows])).total,
            "measured": peak,
        },
        "seconds": seconds,
        "seconds_by_formula": predicted / (scale.device.tflops * 1e12 * scale.device.utilisation),
        "utilisation": predicted / seconds / (scale.device.tflops * 1e12),
    }


def _one_pass(trainer: Trainer, rows: list[dict[str, Any]]) -> tuple[float, int]:
    model: Any = trainer.model
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    batch = trainer.data_collator(rows)

    def step() -> None:
        model(**batch, fused_lm_head=True).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    step()  # makes the optimiser's state
    return count_flops(step), peak_bytes(step, model, optimiser)


def _writing(start: Path, questions: Path, scale: Scale) -> dict[str, Any]:
    model, tokenizer = load_start(start, scale.grpo, scale.hardware)
    prompts = {row["id"]: question_ids(tokenizer, row["prompt"]) for row in read_table(questions, Question).to_dicts()}
    requests = [
        Request(name, tuple(prompt), sample) for name, prompt in prompts.items() for sample in range(COMPLETIONS)
    ]
    sampler = TorchSampler.until_end_of_text(model, tokenizer, scale.sampling)
    seconds, completions = timed(lambda: sampler.sample(requests, 0))
    load = Load.of(
        (len(request.prompt_ids), len(completion.token_ids))
        for request, completion in zip(requests, completions, strict=True)
    )
    share = forward_flops(shape_of(model.config), load) / seconds / (scale.device.tflops * 1e12)
    return {"completions": load.rows, "tokens": load.scored, "seconds": seconds, "utilisation": share}


def _forward_attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _backward_attention(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


def _added_product(total: Shape, first: Shape, second: Shape, *_: Any, **__: Any) -> int:
    return 2 * first[0] * first[1] * second[1]
