"""Fetch a published model: from the Hugging Face Hub, or from a folder, into folders as training leaves them.

    python -m raml.trajectories.fetch --scale S --config '{"model": "owner/name", "revision": "main"}' --outs OUT...

Each folder holds the weights as one `model.safetensors`, in the precision that they were published in unless the
configuration has a `dtype`, the tokenizer with its chat template, and `raml.json`, whose model hash is the Hub's commit
(of a folder: that of the weights). The first folder is written, further ones get second names for its files.
"""

from transformers import PreTrainedTokenizerBase

from raml.config import Base
from raml.errors import DataError
from raml.step import Step, run
from raml.storage import atomic_folder, link_folder, model_hash
from raml.trajectories.hub import load_named

ONE_FILE = 2**50  # bytes; more than any model has


def main(step: Step[Base]) -> None:
    """Fetch the model into each of `outs`."""
    wanted, (first, *others) = step.config, step.lists["outs"]
    model, tokenizer = load_named(wanted.model, revision=wanted.revision, device="cpu", dtype=wanted.dtype)
    complete_tokenizer(tokenizer, wanted.model)
    with atomic_folder(first) as folder:
        model.save_pretrained(folder, max_shard_size=ONE_FILE)
        tokenizer.save_pretrained(folder)
        commit = getattr(model.config, "_commit_hash", None)
        provenance = step.provenance(model_hash=commit or model_hash(folder))
        (folder / "raml.json").write_text(provenance.model_dump_json(indent=2) + "\n")
    for other in others:
        with atomic_folder(other) as folder:
            link_folder(first, folder)
    print(f"{wanted.model}: {model.num_parameters():,} parameters, commit {commit or '(a folder)'}")


def complete_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """See to it that questions can be asked and batches be padded, with the end of text if nothing else.

    Raises:
        DataError: the tokenizer has no chat template, no end of text or no `tokenizer.json`.
    """
    lacking = {
        "no chat template, so how to ask it is unknown": tokenizer.chat_template is None,
        "no end-of-text token": tokenizer.eos_token is None,
        "no tokenizer.json": not tokenizer.is_fast,
    }
    if reasons := [reason for reason, is_so in lacking.items() if is_so]:
        raise DataError(f"the tokenizer of {name} has {' and '.join(reasons)}; choose a model that has one")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


if __name__ == "__main__":
    run(main, Base, many_outputs=["outs"])
