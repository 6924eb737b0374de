"""How exact Proposition 2.1 is on one block: random blocks over widths and prompt lengths, and the model's own.

    python -m raml.probing.blocks --scale S --config '<probing, updates>' --seed 0 --model MODEL --samples SAMPLES \
        --questions QUESTIONS --out results/S/probes/seed0/blocks.parquet

Of the model each layer is a block, with the prompts of the questions whose trajectories `raml.probing.updates`
follows, and the first token of the correct trajectory as the further token.
"""

from typing import Any

import polars as pl
import torch

from raml.config import Probing, Section, Updates
from raml.probing.chosen import choose_trajectories
from raml.probing.implicit.block import RandomBlock, Residual, residuals
from raml.probing.implicit.choice import choose_questions
from raml.probing.implicit.model_block import block_residuals
from raml.progress import track
from raml.questions.family import stable_seed
from raml.schemas import BlockResidual, Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained, on_device

DRAWS = 10  # random blocks of each width and prompt length


class Job(Section):
    """The sections that block residuals depend on."""

    probing: Probing
    updates: Updates


def main(step: Step[Job]) -> None:
    """Write one row for each block and construction."""
    settings, probing = step.config.updates, step.config.probing
    torch.set_num_threads(settings.threads)
    questions, samples = (
        read_table(step.files[name], schema) for name, schema in (("questions", Question), ("samples", Trajectory))
    )
    chosen, _ = choose_trajectories(questions, samples, probing, probing.models[0])
    model, _ = load_pretrained(step.files["model"])
    model = on_device(model)
    rows = random_rows(settings, step.seed)
    followed = choose_questions(chosen, probing.benchmarks, settings.questions)
    for number, (correct, *_) in enumerate(track(followed, "blocks", len(followed), "question")):
        by_layer = block_residuals(model, correct.prompt_ids, correct.thinking_ids[0])
        for layer, found in enumerate(by_layer):
            about = {
                "source": probing.models[0],
                "seed": step.seed,
                "draw": number,
                "question_id": correct.question_id,
                "layer": layer,
                "dimension": model.config.hidden_size,
                "prompt_length": len(correct.prompt_ids),
            }
            rows += _rows(about, found)
    print(f"{len(followed)} questions; {DRAWS} random blocks of each width and prompt length")
    table = pl.DataFrame(rows, schema=column_types(BlockResidual))
    write_table(table, BlockResidual, step.files["out"], step.provenance(model_hash=model_hash(step.files["model"])))


def random_rows(settings: Updates, seed: int) -> list[dict[str, Any]]:
    """Rows of `schemas.BlockResidual` for random blocks, standard normal embeddings; each draw has its own seed."""
    rows = []
    for dimension in settings.dimensions:
        for length in settings.prompt_lengths:
            for draw in range(DRAWS):
                generator = torch.Generator().manual_seed(stable_seed("block", seed, dimension, length, draw))
                block = RandomBlock.draw(dimension, generator)
                embeddings = torch.randn(length + 1, dimension, generator=generator, dtype=torch.float64)
                about = {
                    "source": "random",
                    "seed": seed,
                    "draw": draw,
                    "question_id": None,
                    "layer": 0,
                    "dimension": dimension,
                    "prompt_length": length,
                }
                rows += _rows(about, residuals(block, embeddings[:-1], embeddings[-1]))
    return rows


def _rows(about: dict[str, Any], found: dict[str, Residual]) -> list[dict[str, Any]]:
    return [
        about
        | {
            "construction": name,
            "relative_error": residual.relative_error,
            "relative_norm": residual.relative_norm,
        }
        for name, residual in found.items()
    ]


if __name__ == "__main__":
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"])
