"""SFT: what is trained on how often, masks, micro-batches, learning, and input that cannot be used."""

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from off_policy import TOKENIZER, Place, hardware, sft, start_model, trajectories
from transformers import AutoModelForCausalLM

from raml.errors import ConfigError, RamlError
from raml.training import sft as module
from raml.training.loop import fit
from raml.training.pretrain import IGNORED, masked_loss
from raml.training.sft import make_trainer, training_examples
from raml.training.work import Work


def kinds(examples: list[dict[str, Any]]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(example["input_ids"]) for example in examples)


def trained(folder: Path, settings: Any, examples: list[dict[str, Any]], **changes: Any) -> tuple[Any, Any]:
    """The trainer and its records."""
    work = Work.open(folder, changes)
    trainer = make_trainer(start_model(), TOKENIZER, examples, settings, hardware(**changes), 0, work.folder)
    return trainer, fit(trainer, work, description="SFT test", advice="sft.learning_rate")


@pytest.mark.parametrize("m", [1, 2, 4, 6])
def test_every_question_is_trained_on_equally_often_whatever_m(m: int) -> None:
    settings = sft(trajectories_per_question=m, batch_size=3)
    examples = training_examples(trajectories(), settings, random.Random(0))
    assert len(examples) == 3 * 8
    prompts = Counter(tuple(example["input_ids"][:10]) for example in examples)
    assert set(prompts.values()) == {8}
    counts = kinds(examples)
    assert len(counts) == 3 * m
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_chooses_the_trajectories_and_more_are_the_same_and_further_ones() -> None:
    def chosen(seed: int, m: int) -> set[tuple[int, ...]]:
        return set(kinds(training_examples(trajectories(), sft(trajectories_per_question=m), random.Random(seed))))

    for seed in range(3):
        assert chosen(seed, 1) < chosen(seed, 2) < chosen(seed, 4)
    assert len({frozenset(chosen(seed, 1)) for seed in range(5)}) > 1


def test_without_a_number_each_question_is_trained_on_as_often_as_it_has_correct_trajectories() -> None:
    table = trajectories()
    first = table["question_id"][0]
    fewer = table.filter((pl.col("question_id") != first) | (pl.col("sample") < 3))
    settings = sft(trajectories_per_question=2, exposures_per_question=None, batch_size=1)
    examples = training_examples(fewer, settings, random.Random(0))
    prompts = Counter(tuple(example["input_ids"][:10]) for example in examples)
    assert sorted(prompts.values()) == sorted(fewer.group_by("question_id").len()["len"])
    assert len(kinds(examples)) == 3 * 2


def test_wrong_attempts_carry_no_loss_unless_asked() -> None:
    table = trajectories()
    masked = training_examples(table, sft(), random.Random(0))
    unmasked = training_examples(table, sft(mask_wrong_attempts=False), random.Random(0))
    prompts = {len(prompt) for prompt in table["prompt_ids"]}
    assert len(prompts) == 1
    without_loss = [sum(label == IGNORED for label in example["labels"]) for example in masked]
    assert max(without_loss) > max(prompts)
    assert all(sum(label == IGNORED for label in example["labels"]) in prompts for example in unmasked)


def test_masks_and_order_reach_the_trainers_batches(tmp_path: Path) -> None:
    examples = training_examples(trajectories(), sft(), random.Random(0))
    trainer = make_trainer(start_model(), TOKENIZER, examples, sft(), hardware(), 0, tmp_path)
    got = [
        labels[: int(mask.sum())].tolist()
        for batch in trainer.get_train_dataloader()
        for labels, mask in zip(batch["labels"], batch["attention_mask"], strict=True)
    ]
    assert got == [example["labels"] for example in examples]


def test_micro_batches_change_nothing_but_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = training_examples(trajectories(), sft(), random.Random(0))
    logs, weights = {}, {}
    for micro in (4, 1):
        monkeypatch.setattr(module, "rows_at_once", lambda *_, micro=micro, **__: micro)
        trainer, logs[micro] = trained(tmp_path / str(micro), sft(), examples)
        assert trainer.args.gradient_accumulation_steps == 4 // micro
        weights[micro] = trainer.model.state_dict()
    assert [record["step"] for record in logs[4]] == [1, 2, 3, 4, 5, 6]
    for one, four in zip(logs[4], logs[1], strict=True):
        assert one["loss"] == pytest.approx(four["loss"], rel=1e-6)
        assert one["grad_norm"] == pytest.approx(four["grad_norm"], rel=1e-5)
    moved = [(weights[1][name] - weights[4][name]).norm() / weights[4][name].norm() for name in weights[1]]
    assert max(moved) < 1e-3  # AdamW makes a step of a gradient that is rounding alone


def test_the_logged_loss_is_the_mean_over_the_batchs_learned_tokens(tmp_path: Path) -> None:
    examples = training_examples(trajectories(), sft(), random.Random(0))
    _, records = trained(tmp_path, sft(), examples)
    model, nll, tokens = start_model(), 0.0, 0
    for example in examples[:4]:
        ids, labels = (torch.tensor([example[name]]) for name in ("input_ids", "labels"))
        learned = int((labels != IGNORED).sum())
        nll += masked_loss(model, type("Batch", (), {"ids": ids, "labels": labels})).item() * learned
        tokens += learned
    assert records[0]["loss"] == pytest.approx(nll / tokens, rel=1e-5)


def test_the_step_lowers_the_loss_and_writes_a_whole_folder(tmp_path: Path) -> None:
    place = Place(tmp_path, "sft").prepare()
    place.train([sft(learning_rate=1e-2)])
    out = place.outs([0])[0]
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "raml.json"}
    assert names | {"training.jsonl"} <= {path.name for path in out.iterdir()}
    row = trajectories().row(0, named=True)
    ids = torch.tensor([[*row["prompt_ids"], *row["token_ids"]]])
    after = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert after(ids, labels=ids).loss < start_model()(ids, labels=ids).loss
    records = pl.read_ndjson(out / "training.jsonl")
    assert records.columns[0] == "step"
    assert set(records.columns) == {
        "step", "loss", "grad_norm", "learning_rate", "entropy", "mean_token_accuracy",
    }  # fmt: skip
    assert records["loss"][-1] < records["loss"][0]
    assert list(place.work.iterdir()) == []


def test_steps_that_overflow_stop_the_job_and_leave_a_finite_checkpoint(tmp_path: Path) -> None:
    examples = training_examples(trajectories(), sft(), random.Random(0))
    settings = sft(learning_rate=1e20, warmup_ratio=0.5)  # the first step still has a rate of 0
    with pytest.raises(RamlError) as stopped:
        trained(tmp_path, settings, examples, checkpoint_steps=1)
    found = re.fullmatch(
        r"SFT test diverged at step (\d): (?:loss|grad_norm) (?:nan|inf); lower sft\.learning_rate; last good "
        r"checkpoint: \S+/checkpoint-(\d)",
        str(stopped.value),
    )
    assert found and int(found[2]) == int(found[1]) - 2  # the next one held the weights that the step began with
    checkpoint = Path(str(stopped.value).rsplit(" ", 1)[1])
    weights = AutoModelForCausalLM.from_pretrained(checkpoint).state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("start", [0, 4])
def test_a_run_that_gets_worse_stops_and_does_so_too_after_a_resume(
    start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = sft(learning_rate=3.0, warmup_ratio=0.5, exposures_per_question=40)
    examples = training_examples(trajectories(), settings, random.Random(0))
    if start:
        with monkeypatch.context() as patch:
            patch.setattr("raml.training.watch.divergence", _interrupting(start + 1))
            with pytest.raises(KeyboardInterrupt):
                trained(tmp_path, settings, examples, checkpoint_steps=1)
    with pytest.raises(RamlError) as stopped:
        trained(tmp_path, settings, examples, checkpoint_steps=1)
    found = re.fullmatch(
        r"SFT test diverged at step (\d+): a mean loss of \d\S+ in the last 5 steps after \d\.\d+ in the first; lower "
        r"sft\.learning_rate; last good checkpoint: \S+/checkpoint-(\d+)",
        str(stopped.value),
    )
    assert found and int(found[2]) == int(found[1]) - 6, str(stopped.value)


def test_trajectories_that_do_not_fit_the_context_are_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, "sft").prepare()
    assignment = _assignment(place)
    config = assignment.start / "config.json"
    longest = int((trajectories()["n_tokens"] + trajectories()["prompt_ids"].list.len()).max())  # type: ignore[arg-type]
    text = config.read_text()
    config.write_text(text.replace('"max_position_embeddings": 256', f'"max_position_embeddings": {longest - 1}'))
    assert config.read_text() != text
    with pytest.raises(ConfigError, match=rf"trajectory of {longest} tokens together exceeds the model's context of "
                                          rf"{longest - 1}; lower sft\.max_tokens or sft\.max_pro"):  # fmt: skip
        module.train(assignment, trajectories(), "long.parquet")


def _interrupting(step: int) -> Callable[..., None]:
    """Stands for the rule of divergence, and ends the process at this step."""

    def interrupt(records: list[Any], **_: Any) -> None:
        if len(records) == step:
            raise KeyboardInterrupt

    return interrupt


def _assignment(place: Place) -> Any:
    caught: list[Any] = []
    step = place.step([sft()])
    module.train_all(step, [], lambda assignment: (caught.append(assignment), assignment.work.model().mkdir()))
    return caught[0]
