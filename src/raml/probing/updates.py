"""Trajectories as weight updates of the main probed model, and whether they point downhill (Proposition 2.1).

    python -m raml.probing.updates --scale S --config '<probing, updates>' --seed 0 --model MODEL --samples SAMPLES \
        --questions QUESTIONS --out results/S/probes/seed0/updates.parquet

Along a trajectory, at evenly spread prefixes, the exact update that stands for the prefix is compared with
the negative gradient of the answer NLL without a trajectory. Two nulls have the trajectory's length: its own
tokens in random order, and tokens drawn uniformly from all that occur in the model's thinking.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.config import Probing, Section, Updates
from raml.probing.forced import forced_probe
from raml.probing.implicit import answer_gradients, compare, descent, implicit_updates
from raml.probing.implicit.choice import choose_questions
from raml.probing.implicit.layers import ProjectionName, attention_layers
from raml.probing.probe import Chosen, choose_trajectories
from raml.progress import progress
from raml.questions.family import stable_seed
from raml.schemas import Question, Trajectory, WeightUpdate, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained


class Job(Section):
    """The sections that weight updates depend on."""

    probing: Probing
    updates: Updates


@dataclass(frozen=True)
class Walk:
    """A real or a null trajectory."""

    source: str
    draw: int
    ids: list[int]


def main(step: Step[Job]) -> None:
    """Write one row for each followed trajectory and null, projection, prefix and layer."""
    settings, probing = step.config.updates, step.config.probing
    torch.set_num_threads(settings.threads)
    questions, samples = (
        read_table(step.files[name], schema) for name, schema in (("questions", Question), ("samples", Trajectory))
    )
    chosen, _ = choose_trajectories(questions, samples, probing, probing.models[0])
    followed = choose_questions(chosen, probing.benchmarks, settings.questions)
    vocabulary = thinking_tokens(samples)
    model, tokenizer = load_pretrained(step.files["model"])
    weight_norms: dict[ProjectionName, list[float]] = {
        name: [float(layer.projection(name).weight.double().norm()) for layer in attention_layers(model)]
        for name in get_args(ProjectionName)
    }

    rows: list[dict[str, Any]] = []
    too_long = 0
    with progress("updates", sum(map(len, followed)), "trajectory") as line:
        for question in followed:
            probe = forced_probe(tokenizer, question[0].gold)
            parts = question[0].prompt_ids, probe.marker_ids, probe.answer_ids
            gradients = answer_gradients(model, *parts)
            for one in question:
                line.update()
                if sum(map(len, parts)) + len(one.thinking_ids) > model.config.max_position_embeddings:
                    too_long += 1
                    continue
                about = {
                    "trajectory_id": f"{one.question_id}/{probing.models[0]}/{one.sample}",
                    "question_id": one.question_id,
                    "benchmark": one.benchmark,
                    "model": probing.models[0],
                    "seed": step.seed,
                    "correct": one.correct,
                    "length": len(one.thinking_ids),
                }
                walks = null_walks(one, vocabulary, settings.draws, step.seed)
                positions = prefix_positions(len(one.thinking_ids), settings.positions)
                for projection in get_args(ProjectionName):
                    about_weights = {
                        "projection": projection,
                        "weight_norm": weight_norms[projection],
                        "gradient_norm": [float(gradient.norm()) for gradient in gradients[projection]],
                    }
                    for measured in follow(
                        model, *parts, walks, positions, projection, gradients[projection], probing.token_budget
                    ):
                        rows += _layers(about | about_weights | measured)

    print(f"{sum(map(len, followed))} trajectories of {len(followed)} questions; {too_long} exceed the model's context")
    table = pl.DataFrame(rows, schema=column_types(WeightUpdate))
    write_table(table, WeightUpdate, step.files["out"], step.provenance(model_hash=model_hash(step.files["model"])))


def follow(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    marker_ids: Sequence[int],
    answer_ids: Sequence[int],
    walks: Sequence[Walk],
    positions: Sequence[int],
    projection: ProjectionName,
    gradients: Sequence[Tensor],
    token_budget: int,
) -> Iterator[dict[str, Any]]:
    """The update of each prefix of each walk: columns of `schemas.WeightUpdate`, lists where they are by layer.

    Changed weights are checked in runs of their own, one a prefix. `token_budget` bounds the tokens of one batch
    in which updates are searched for, as far as one prefix allows.
    """
    prefixes = [(walk, position) for walk in walks for position in positions]
    row = len(prompt_ids) + max(positions) + len(marker_ids) + len(answer_ids)
    size = max(1, token_budget // row)
    for start in range(0, len(prefixes), size):
        batch = prefixes[start : start + size]
        read = [walk.ids[:position] for walk, position in batch]
        updates = implicit_updates(model, prompt_ids, read, marker_ids, answer_ids, projection=projection)
        for (walk, position), ids, update in zip(batch, read, updates, strict=True):
            compared = compare(model, update, prompt_ids, ids, marker_ids, answer_ids)
            yield {
                "source": walk.source,
                "draw": walk.draw,
                "position": position,
                "update_norm": update.norms(),
                "descent": descent(update, gradients),
                "nll": compared.nll,
                "nll_difference": compared.nll_difference,
                "logit_difference": compared.logit_difference,
            }


def null_walks(one: Chosen, vocabulary: Sequence[int], draws: int, seed: int) -> list[Walk]:
    """The trajectory itself, and `draws` shuffled and as many random ones; each has a seed of its own."""
    walks = [Walk("trajectory", 0, one.thinking_ids)]
    for draw in range(draws):
        shuffled, drawn = (
            random.Random(stable_seed("updates", seed, one.question_id, one.sample, source, draw))
            for source in ("shuffled", "random")
        )
        length = len(one.thinking_ids)
        walks.append(Walk("shuffled", draw, shuffled.sample(one.thinking_ids, length)))
        walks.append(Walk("random", draw, drawn.choices(vocabulary, k=length)))
    return walks


def prefix_positions(length: int, n: int) -> list[int]:
    """At most `n` prefixes of 1 to `length` tokens, evenly spread, the whole trajectory last."""
    return sorted({max(1, round(length * number / n)) for number in range(1, n + 1)})


def thinking_tokens(samples: pl.DataFrame) -> list[int]:
    """All token ids that occur in the thinking of `samples`, rows of `schemas.Trajectory`, in order."""
    length = pl.col("thinking_end") - pl.col("thinking_start")
    thinking = samples.select(pl.col("token_ids").list.slice(pl.col("thinking_start"), length).explode())
    return thinking["token_ids"].drop_nulls().unique().sort().to_list()


def _layers(values: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a layer, from values of which those of layers are lists."""
    n = len(values["update_norm"])
    return [
        {"layer": layer} | {name: value[layer] if isinstance(value, list) else value for name, value in values.items()}
        for layer in range(n)
    ]


if __name__ == "__main__":
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"])
