"""The start and the end of training: precision, adapters, tokenizers, saved folders."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from off_policy import LORA, PROVENANCE, TOKENIZER, hardware, sft, start_model, trajectories
from peft import PeftModel, get_peft_model
from transformers import PreTrainedTokenizerFast

from raml.errors import DataError
from raml.storage import file_hash, model_hash
from raml.training.pretrain import save_model
from raml.training.start import (
    adapter,
    check_tokenizer,
    load_reference,
    load_start,
    save_trained,
)
from raml.trajectories.pretrained import load_pretrained

IDS = torch.arange(5, 60)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(start_model(), TOKENIZER, tmp_path / "start", PROVENANCE)
    return tmp_path / "start"


@pytest.mark.parametrize(
    ("precision", "lora", "trained", "reference"),
    [
        ("fp32", None, torch.float32, torch.float32),
        ("bf16", None, torch.float32, torch.bfloat16),
        ("fp32", LORA, torch.float32, None),
        ("bf16", LORA, torch.bfloat16, None),
    ],
)
def test_weights_that_are_trained_are_in_fp32(
    folder: Path, precision: str, lora: Any, trained: torch.dtype, reference: torch.dtype | None
) -> None:
    device, settings = hardware(precision=precision), sft(lora=lora)
    model, tokenizer = load_start(folder, settings, device)
    assert model.dtype == trained
    assert len(tokenizer) == len(TOKENIZER)
    other = load_reference(folder, settings, device)
    assert (None if other is None else other.dtype) == reference


def test_a_start_of_several_files_has_a_hash_and_one_without_weights_has_none(folder: Path, tmp_path: Path) -> None:
    whole = model_hash(folder)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"more weights")
    assert model_hash(folder) != whole == file_hash(folder / "model.safetensors")[:12]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty is no model folder"):
        model_hash(tmp_path / "empty")


def with_adapter() -> PeftModel:
    """A model whose adapter is not zero."""
    torch.manual_seed(0)
    model = get_peft_model(start_model(), adapter(sft(lora=LORA)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model.eval()


class Trained:
    """As much of a trainer as `save_trained` asks for."""

    def __init__(self, model: torch.nn.Module, *, bf16: bool = False) -> None:
        self.model, self.accelerator = model, self
        self.args = type("Arguments", (), {"bf16": bf16})
        self.is_main_process = True

    def get_state_dict(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return model.state_dict()

    def unwrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        return model

    def wait_for_everyone(self) -> None: ...


def test_a_merged_model_does_what_the_adapter_did(tmp_path: Path) -> None:
    model = with_adapter()
    expected = model(IDS).logits
    assert not torch.allclose(expected, start_model()(IDS).logits, atol=0.1)
    records = [{"step": 1, "loss": 0.5}]
    save_trained(Trained(model), TOKENIZER, tmp_path / "out", PROVENANCE, records)  # type: ignore[arg-type]
    saved, _ = load_pretrained(tmp_path / "out")
    assert torch.allclose(saved(IDS).logits, expected, atol=1e-4)
    assert torch.equal(model(IDS).logits, expected)  # training may go on
    assert (tmp_path / "out" / "training.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'


def test_what_was_trained_in_bf16_is_saved_in_bf16(tmp_path: Path) -> None:
    save_trained(Trained(start_model(), bf16=True), TOKENIZER, tmp_path / "out", PROVENANCE, [])  # type: ignore[arg-type]
    saved, _ = load_pretrained(tmp_path / "out")
    assert saved.dtype == torch.bfloat16


def with_other_ids(*swapped: str) -> PreTrainedTokenizerFast:
    """The tokenizer, but that these two tokens have changed places."""
    described = json.loads(TOKENIZER.backend_tokenizer.to_str())
    one, other = swapped
    vocabulary = described["model"]["vocab"]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    for token in described["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    described["added_tokens"].sort(key=lambda token: token["id"])
    return PreTrainedTokenizerFast(
        tokenizer_object=type(TOKENIZER.backend_tokenizer).from_str(json.dumps(described)),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        chat_template=TOKENIZER.chat_template,
        clean_up_tokenization_spaces=False,
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (with_other_ids("Wait", "ok"), "the token ids of .* read '.*' with the model's tokenizer, but their text is"),
        (with_other_ids("<eos>", "<pad>"), "is finished, but ends with token 2, and the model's end of text is 0"),
        (with_other_ids("<bos>", "<pad>"), r"has the special tokens \[1\], but .* puts \[0\] around a question"),
        (
            PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer),
            "questions cannot be put to the model: .* has no chat template",
        ),
    ],
)
def test_the_writers_tokenizer_is_accepted_and_others_are_not(other: PreTrainedTokenizerFast, message: str) -> None:
    check_tokenizer(TOKENIZER, trajectories(), "t")
    with pytest.raises(DataError, match=f"^t: .*{message}"):
        check_tokenizer(other, trajectories(), "t")


def test_a_token_that_the_model_does_not_have_is_refused() -> None:
    table = trajectories().with_columns(token_ids=pl.col("token_ids").list.concat(pl.lit(9999, dtype=pl.Int32)))
    with pytest.raises(DataError, match=r"^t holds token id 9999, but the model has \d+ tokens; start from"):
        check_tokenizer(TOKENIZER, table, "t")


def test_what_is_cut_off_need_not_end_with_the_end_of_text() -> None:
    table = trajectories().with_columns(
        finished=False, token_ids=pl.col("token_ids").list.head(pl.col("n_tokens") - 1), n_tokens=pl.col("n_tokens") - 1
    )
    check_tokenizer(TOKENIZER, table, "t")
    with pytest.raises(DataError, match="is finished, but ends with token"):
        check_tokenizer(TOKENIZER, table.with_columns(finished=True), "t")
