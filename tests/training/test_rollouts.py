"""What a rollout is drawn from: seed, step, question and number alone; and the model is left as it was."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from grpo_start import TOKENIZER, grpo, questions, save_start
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from raml.config import Sampling
from raml.questions.family import stable_seed
from raml.training.grpo import prompts_of
from raml.training.rollouts import Rollouts, whole_weights
from raml.trajectories.engine import Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.sampler import TorchSampler

SETTINGS = grpo(group_size=4, batch_size=8, update_trajectories=4)
PROMPTS = prompts_of(questions().rows(named=True), TOKENIZER, SETTINGS, "questions")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    network, _ = load_pretrained(save_start(tmp_path_factory.mktemp("start") / "model"))
    return network.train()


def written(model: Any, asked: list[int], *, step: int = 0, seed: int = 0, **changes: Any) -> list[list[int]]:
    """Completions of the prompts with these numbers, 4 each."""
    trainer: Any = SimpleNamespace(
        model_wrapped=model,
        accelerator=Accelerator(cpu=True),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        eos_token_ids=[TOKENIZER.eos_token_id],
        state=SimpleNamespace(global_step=step),
    )
    rollouts = Rollouts(PROMPTS, TOKENIZER, SETTINGS.model_copy(update=changes), seed)
    output = rollouts([PROMPTS[index].messages for index in asked for _ in range(4)], trainer)
    assert output["prompt_ids"] == [list(PROMPTS[index].token_ids) for index in asked for _ in range(4)]
    assert output["logprobs"] is None
    return output["completion_ids"]


def test_two_processes_write_what_one_would(model: Any) -> None:
    assert written(model, [0, 1, 2, 3]) == [*written(model, [0, 1]), *written(model, [2, 3])]


def test_a_completion_depends_on_seed_step_and_number(model: Any) -> None:
    first = written(model, [0])
    assert len({tuple(ids) for ids in first}) > 1
    assert written(model, [0]) == first
    assert written(model, [0], step=1) != first
    assert written(model, [0], seed=1) != first


def test_completions_are_the_samplers_at_the_configured_temperature(model: Any) -> None:
    sampling = {"temperature": 0.7, "top_p": 0.9, "top_k": 20}
    got = written(model, [0, 1], step=5, seed=2, **sampling)
    engine = TorchSampler(
        model, Sampling(**sampling, max_tokens=16, batch_size=3, threads=1), [TOKENIZER.eos_token_id], pad_id=0
    )
    requests = [Request(PROMPTS[q].question_id, PROMPTS[q].token_ids, n) for q in (0, 1) for n in range(4)]
    assert got == [completion.token_ids for completion in engine.sample(requests, stable_seed("rollout", 2, 5))]
    model.train()


def test_split_weights_are_whole_while_sampling(model: Any, tmp_path: Path) -> None:
    expected = written(model, [0, 1])
    split, _ = load_pretrained(save_start(tmp_path / "model"))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for module in [*split.model.layers, split]:
            fully_shard(module, mesh=init_device_mesh("cpu", (1,)), reshard_after_forward=True)
        tokens = torch.tensor([PROMPTS[0].token_ids])
        with whole_weights(split), torch.inference_mode():
            split(tokens)
            assert not any(isinstance(weight, DTensor) for weight in split.parameters())
        assert all(isinstance(weight, DTensor) for weight in split.parameters())
        assert written(split, [0, 1]) == expected
        split(tokens, labels=tokens).loss.backward()
        assert all(isinstance(weight.grad, DTensor) for weight in split.parameters())
    finally:
        dist.destroy_process_group()
