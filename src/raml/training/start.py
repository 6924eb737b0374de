"""The model that training starts from, and the folder in which the trained one is saved."""

import copy
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from peft import LoraConfig, PeftModel
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from raml.config import Architecture, Hardware, Training
from raml.errors import ConfigError, DataError, InputError
from raml.storage import Provenance, atomic_folder
from raml.training.watch import Record, lines
from raml.trajectories.chat import question_ids
from raml.trajectories.pretrained import load_pretrained

CHECKED_TRAJECTORIES = 100
ANY_QUESTION = "?"  # which every tokenizer knows


def load_start(folder: Path, settings: Training, hardware: Hardware) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in the precision in which it is trained, and its tokenizer.

    Trained weights are in fp32 whatever the precision, which is that of the arithmetic: an update of one part in a
    thousand is lost on weights in bf16. Under LoRA the weights stay as they are, so they may be in bf16.

    Raises:
        DataError: the folder holds no causal language model with a tokenizer.
    """
    model, tokenizer = load_pretrained(folder)
    half = hardware.precision == "bf16" and settings.lora is not None
    return (in_bf16(model) if half else model.float()), tokenizer


def load_reference(folder: Path, settings: Training, hardware: Hardware) -> PreTrainedModel | None:
    """A second, frozen copy of the start to compare with; None under LoRA, where the model without adapter is one.

    Raises:
        DataError: the folder holds no causal language model with a tokenizer.
    """
    if settings.lora is not None:
        return None
    model, _ = load_pretrained(folder)
    return in_bf16(model) if hardware.precision == "bf16" else model.float()


def in_bf16(model: PreTrainedModel) -> PreTrainedModel:
    """`model` with its weights rounded, but not its buffers: rotary frequencies in bf16 would misplace tokens."""
    for weight in model.parameters():
        weight.data = weight.data.bfloat16()
    return model


def adapter(settings: Training) -> LoraConfig | None:
    """The adapter that a TRL trainer is to put on all linear layers but the head (its `peft_config`), or None."""
    if settings.lora is None:
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.lora.dropout,
    )


def shape_of(config: PreTrainedConfig) -> Architecture:
    """The sizes of a model, to reckon its memory with."""
    return Architecture(
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        intermediate_size=config.intermediate_size,
        vocabulary=config.vocab_size,
        tied=config.tie_word_embeddings,
        context=config.max_position_embeddings,
    )


def check_context(model: PreTrainedModel, tokens: int, what: str, *, mend: str) -> None:
    """Make sure that the model can read `tokens` tokens.

    Args:
        model: if it says how long its context is.
        tokens: of a prompt and its completion, the longest.
        what: they are, with a verb (exceeds or exceed).
        mend: what to do.

    Raises:
        ConfigError: they are more than its context holds.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and tokens > context:
        raise ConfigError(f"{what} the model's context of {context}; {mend}")


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, trajectories: pl.DataFrame, where: str) -> None:
    """Make sure that the token ids of `trajectories` mean with `tokenizer` what their writer meant.

    All ids must be in the vocabulary. Of up to 100 trajectories, spread over the table, the text is compared, and
    special tokens, which it does not show: one that is finished ends with this tokenizer's end of text, and its prompt
    has those that the chat template puts around a question.

    Raises:
        DataError: they were written with another tokenizer, or this one has no chat template.
    """
    mend = "start from a model of the writer's family, or write the trajectories anew with this model's tokenizer"
    ids = pl.concat([trajectories["prompt_ids"].explode(), trajectories["token_ids"].explode()])
    largest = int(ids.to_numpy().max(initial=0))
    if largest >= len(tokenizer):
        raise DataError(f"{where} holds token id {largest}, but the model has {len(tokenizer)} tokens; {mend}")
    step = -(-len(trajectories) // CHECKED_TRAJECTORIES) or 1
    special = _special_ids(tokenizer)
    try:
        around = [token for token in question_ids(tokenizer, ANY_QUESTION) if token in special]
    except InputError as error:
        raise DataError(f"{where}: questions cannot be put to the model: {error}") from None
    for row in trajectories.gather_every(step).iter_rows(named=True):
        name = f"{row['question_id']}/{row['writer']}/{row['sample']}"
        text = tokenizer.decode(row["token_ids"], skip_special_tokens=True)
        if text != row["text"]:
            raise DataError(
                f"{where}: the token ids of {name} read {text[:60]!r} with the model's tokenizer, but their text is "
                f"{row['text'][:60]!r}; {mend}"
            )
        if row["finished"] and row["token_ids"][-1] != tokenizer.eos_token_id:
            raise DataError(
                f"{where}: {name} is finished, but ends with token {row['token_ids'][-1]}, and the model's end of text "
                f"is {tokenizer.eos_token_id}; {mend}"
            )
        found = [token for token in row["prompt_ids"] if token in special]
        if found != around:
            raise DataError(
                f"{where}: the prompt of {name} has the special tokens {found}, but the model's chat template puts "
                f"{around} around a question; {mend}"
            )


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of the tokens that are no text: those with a role, and those that the tokenizer's file declares special."""
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added.union(tokenizer.all_special_ids)


def save_trained(
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    provenance: Provenance,
    records: Sequence[Record],
) -> None:
    """Save the trainer's model as a plain Hugging Face folder with `raml.json` and `training.jsonl`, all at once.

    Shards are gathered and an adapter is merged; weights trained in bf16 arithmetic are saved in bf16. The trainer
    goes on unchanged. To be called by all processes; the main one writes.
    """
    state = trainer.accelerator.get_state_dict(trainer.model)
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if isinstance(model, PeftModel):
            lora = model.peft_config["default"]
            assert isinstance(lora, LoraConfig)
            state = merged(state, scaling=lora.lora_alpha / lora.r)
            model = model.get_base_model()
        if model.config.tie_word_embeddings:  # gathered shards hold the embeddings a second time, as the head
            head = _name(model, model.get_output_embeddings())
            state = {name: value for name, value in state.items() if not name.startswith(f"{head}.")}
        if trainer.args.bf16:
            state = {name: value.to(torch.bfloat16) for name, value in state.items()}
        with atomic_folder(out) as folder:
            model.save_pretrained(folder, state_dict=state)
            if trainer.args.bf16:  # save_pretrained notes the model's precision, not that of the weights handed to it
                config = copy.deepcopy(model.config)
                config.dtype = torch.bfloat16
                config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            (folder / "raml.json").write_text(provenance.model_dump_json(indent=2) + "\n")
            (folder / "training.jsonl").write_text(lines(records))
    trainer.accelerator.wait_for_everyone()


def merged(state: dict[str, Tensor], *, scaling: float) -> dict[str, Tensor]:
    """Weights of a LoRA model with its adapter added to them: W + scaling B A, under the names of the plain model."""
    plain = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        if name.endswith(".base_layer.weight"):
            stem = name.removesuffix(".base_layer.weight")
            down, up = (state[f"{stem}.lora_{part}.default.weight"].float() for part in "AB")
            value = (value.float() + scaling * up @ down).to(value.dtype)
        plain[name.removeprefix("base_model.model.").replace(".base_layer.", ".")] = value
    return plain


def _name(model: nn.Module, part: nn.Module | None) -> str:
    """What `part` is called in `model`."""
    name: str = next(name for name, module in model.named_modules() if module is part)
    return name
