"""What `raml probe` and `raml landscape` share: the user's model, its prompts, and writing a folder of results."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from raml.config import Section
from raml.errors import InputError, RamlError
from raml.progress import progress
from raml.provenance import provenance
from raml.storage import Provenance, model_hash

if TYPE_CHECKING:
    from raml.probing.curves import Curve
    from raml.probing.text import Tokens
    from raml.probing.tree import Probe
    from raml.trajectories.hub import Pretrained


def prompts_of(
    pretrained: "Pretrained", questions: Sequence[str], prompts: Sequence[str], instruction: str | None
) -> list[tuple[int, ...]]:
    """Token ids of the questions in the model's chat template, or of the exact prompts instead.

    Raises:
        InputError: the tokenizer has no template, or does not know all of a text.
    """
    from raml.answers.format import INSTRUCTION
    from raml.probing.prompts import exact_ids, question_ids

    instruction = INSTRUCTION if instruction is None else instruction
    if questions:
        return [question_ids(pretrained.tokenizer, question, instruction=instruction) for question in questions]
    return [exact_ids(pretrained.tokenizer, prompt) for prompt in prompts]


def check_length(
    pretrained: "Pretrained", name: str, prompt: Sequence[int], tokens: "Tokens | None", probes: "Sequence[Probe]"
) -> None:
    """Check that a prompt, a trajectory if there is one, and what is forced fit into the model's context.

    Raises:
        InputError: they do not.
    """
    context = getattr(pretrained.model.config.get_text_config(), "max_position_embeddings", None)
    forced = max(len(probe.marker_ids) + len(probe.answer_ids) for probe in probes)
    trajectory = len(tokens.ids) if tokens else 0
    length = len(prompt) + trajectory + forced
    if context is not None and length > context:
        room = context - len(prompt) - forced
        raise InputError(
            f"{name}: prompt {len(prompt)} + trajectory {trajectory} + forced text {forced} = {length} tokens exceed "
            f"the model's context of {context}; "
            + (f"shorten the trajectory to {room} tokens" if room > 0 else "the prompt leaves no room; shorten it")
        )


def measure_curves(
    pretrained: "Pretrained",
    prompt: tuple[int, ...],
    trajectories: "Sequence[Tokens]",
    probes: "Sequence[Probe]",
    token_budget: int | None,
    stride: int = 1,
) -> "list[Curve]":
    """Of each trajectory [probes, positions]; they share the prompt's keys and values if every position is probed."""
    from raml.probing.curves import TOKEN_BUDGET, answer_nll_curves

    positions = [positions_of(tokens, stride) for tokens in trajectories]
    with progress("probing", sum(map(len, positions)) * len(probes), "point") as line:

        def curves(tokens: "Sequence[Tokens]", at: Sequence[int] | None) -> "list[Curve]":
            return answer_nll_curves(
                pretrained.model,
                prompt,
                [one.ids for one in tokens],
                probes,
                positions=at,
                token_budget=token_budget or TOKEN_BUDGET,
                progress=line.update,
            )

        if stride == 1:
            return curves(trajectories, None)
        return [curves([one], at)[0] for one, at in zip(trajectories, positions, strict=True)]


def positions_of(tokens: "Tokens", stride: int) -> Sequence[int]:
    """Every `stride`-th position of a trajectory, from 0, and its last."""
    return [*range(0, len(tokens.ids), stride), len(tokens.ids)]


def precision(pretrained: "Pretrained") -> str:
    """In what numbers and where the model runs: `float32 on cpu`."""
    model = pretrained.model
    return f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"


def origin(request: Section, module: str, model: str, seed: int = 0) -> Provenance:
    """The provenance of a command's table: its `request`, its `module` and, of a folder, the hash of the `model`."""
    digest = model_hash(Path(model)) if Path(model, "model.safetensors").is_file() else None
    return provenance("cli", request, module, seed=seed, model_hash=digest)


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files move to the folder `path` only if the block succeeds.

    Files of the same name are replaced, all others stay, and nothing else is left behind.

    Raises:
        RamlError: `path` cannot be written.
    """
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    try:
        # On the file system of `path`, so that renaming is enough.
        with tempfile.TemporaryDirectory(prefix=".raml-unfinished-", dir=existing) as temporary:
            yield Path(temporary)
            path.mkdir(parents=True, exist_ok=True)
            for file in Path(temporary).iterdir():
                file.replace(path / file.name)
    except OSError as error:
        raise RamlError(f"cannot write {path}: {error.strerror or error}") from None
