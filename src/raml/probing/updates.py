"""Trajectories as weight updates of the main probed model, and whether they point downhill (Proposition 2.1).

    python -m raml.probing.updates --scale S --config '<probing, updates>' --seed 0 --model MODEL --samples SAMPLES \
        --questions QUESTIONS --out results/S/probes/seed0/updates.parquet

Along a trajectory, at evenly spread prefixes, the exact update that stands for the prefix is compared with
the negative gradient of the answer NLL without a trajectory, and what that promises to first order with what
the NLL actually does. Two nulls are as long as the prefix: its own tokens in random order, and tokens drawn
uniformly from the different ones that occur in the model's thinking on the probed benchmarks.

A trajectory with its nulls is left out where no change of a projection can meet an answer's conditions, or where
numbers overflow under it: the step says how many.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.config import Probing, Section, Updates
from raml.probing.chosen import Chosen, choose_trajectories
from raml.probing.curves import Probe, answer_nll_curves
from raml.probing.forced import forced_probe
from raml.probing.implicit import (
    NotFiniteError,
    TooManyConditionsError,
    answer_gradients,
    compare,
    descent,
    implicit_updates,
)
from raml.probing.implicit.choice import choose_questions
from raml.probing.implicit.layers import ProjectionName, attention_layers
from raml.probing.probe import those_that_fit
from raml.progress import progress
from raml.questions.family import stable_seed
from raml.schemas import Question, Trajectory, WeightUpdate, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained, on_device


class Job(Section):
    """The sections that weight updates depend on."""

    probing: Probing
    updates: Updates


@dataclass(frozen=True)
class Prefix:
    """The first `len(ids)` tokens of a real trajectory, or as many of a null."""

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
    vocabulary = thinking_tokens(samples, questions, probing.benchmarks)
    model, tokenizer = load_pretrained(step.files["model"])
    model = on_device(model)
    weight_norms: dict[ProjectionName, list[float]] = {
        name: [float(layer.projection(name).weight.double().norm()) for layer in attention_layers(model)]
        for name in get_args(ProjectionName)
    }

    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    with progress("updates", sum(map(len, followed)), "trajectory") as line:
        for question in followed:
            probe = forced_probe(tokenizer, question[0].gold)
            fitting = those_that_fit(question, {"thinking": probe}, model.config.max_position_embeddings)
            left_out["exceed the model's context"] += len(question) - len(fitting)
            line.update(len(question) - len(fitting))
            if not fitting:
                continue
            gradients = answer_gradients(model, fitting[0].prompt_ids, probe.marker_ids, probe.answer_ids)
            nll_without = nll_without_trajectory(model, fitting[0], probe)
            for one in fitting:
                about = {
                    "trajectory_id": f"{one.question_id}/{probing.models[0]}/{one.sample}",
                    "question_id": one.question_id,
                    "benchmark": one.benchmark,
                    "model": probing.models[0],
                    "seed": step.seed,
                    "correct": one.correct,
                    "length": len(one.thinking_ids),
                    "nll_without": nll_without,
                }
                positions = prefix_positions(len(one.thinking_ids), settings.positions)
                prefixes = real_and_null_prefixes(one, positions, vocabulary, settings.draws, step.seed)
                for name in get_args(ProjectionName):
                    about_weights = {
                        "projection": name,
                        "weight_norm": weight_norms[name],
                        "gradient_norm": [float(gradient.norm()) for gradient in gradients[name]],
                    }
                    measured = follow(
                        model, one.prompt_ids, probe, prefixes, name, gradients[name], probing.token_budget
                    )
                    for values in _all_or_none(measured, name, left_out):
                        rows += _layers(about | about_weights | values)
                line.update()

    print(f"{sum(map(len, followed))} trajectories of {len(followed)} questions; {_listed(left_out)}")
    table = pl.DataFrame(rows, schema=column_types(WeightUpdate))
    write_table(table, WeightUpdate, step.files["out"], step.provenance(model_hash=model_hash(step.files["model"])))


def follow(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    probe: Probe,
    prefixes: Sequence[Prefix],
    projection: ProjectionName,
    gradients: Sequence[Tensor],
    token_budget: int,
) -> Iterator[dict[str, Any]]:
    """The update of each prefix: columns of `schemas.WeightUpdate`, lists where they are by layer.

    Changed weights are checked in runs of their own, one a prefix. `token_budget` bounds the tokens of one batch
    in which updates are searched for, as far as one prefix allows.

    Raises:
        TooManyConditionsError, NotFiniteError: as `implicit_updates` and `compare`.
    """
    forced = probe.marker_ids, probe.answer_ids
    row = len(prompt_ids) + max(len(prefix.ids) for prefix in prefixes) + sum(map(len, forced))
    size = max(1, token_budget // row)
    for start in range(0, len(prefixes), size):
        batch = prefixes[start : start + size]
        read = [prefix.ids for prefix in batch]
        updates = implicit_updates(model, prompt_ids, read, *forced, projection=projection)
        for prefix, update in zip(batch, updates, strict=True):
            compared = compare(model, update, prompt_ids, prefix.ids, *forced)
            yield {
                "source": prefix.source,
                "draw": prefix.draw,
                "position": len(prefix.ids),
                "update_norm": update.norms(),
                "descent": descent(update, gradients),
                "nll": compared.nll,
                "nll_difference": compared.nll_difference,
                "logit_difference": compared.logit_difference,
            }


def nll_without_trajectory(model: PreTrainedModel, one: Chosen, probe: Probe) -> float:
    """The answer's mean NLL right after the prompt, nats per token: the start of every curve of its question."""
    [curves] = answer_nll_curves(model, one.prompt_ids, [one.thinking_ids[:1]], [probe], positions=[0])
    return float(curves[0, 0])


def real_and_null_prefixes(
    one: Chosen, positions: Sequence[int], vocabulary: Sequence[int], draws: int, seed: int
) -> list[Prefix]:
    """The prefixes of the trajectory, and for each `draws` shuffled and as many random ones of its length.

    A prefix is shuffled by itself, so that its null holds no later tokens. Each null has a seed of its own.
    """
    prefixes = []
    for position in positions:
        read = one.thinking_ids[:position]
        prefixes.append(Prefix("trajectory", 0, read))
        for draw in range(draws):
            shuffled, drawn = (
                random.Random(stable_seed("updates", seed, one.question_id, one.sample, source, draw, position))
                for source in ("shuffled", "random")
            )
            prefixes.append(Prefix("shuffled", draw, shuffled.sample(read, position)))
            prefixes.append(Prefix("random", draw, drawn.choices(vocabulary, k=position)))
    return prefixes


def prefix_positions(length: int, n: int) -> list[int]:
    """At most `n` prefixes of 1 to `length` tokens, evenly spread, the whole trajectory last."""
    return sorted({max(1, round(length * number / n)) for number in range(1, n + 1)})


def thinking_tokens(samples: pl.DataFrame, questions: pl.DataFrame, benchmarks: Sequence[str]) -> list[int]:
    """The different token ids that occur in the thinking about `benchmarks`, in order.

    Args:
        samples: rows of `schemas.Trajectory`.
        questions: rows of `schemas.Question`.
        benchmarks: splits of the questions.
    """
    asked = questions.filter(pl.col("split").is_in(benchmarks))
    length = pl.col("thinking_end") - pl.col("thinking_start")
    thinking = samples.join(asked, left_on="question_id", right_on="id", how="semi").select(
        pl.col("token_ids").list.slice(pl.col("thinking_start"), length).explode()
    )
    return thinking["token_ids"].drop_nulls().unique().sort().to_list()


def _all_or_none(
    measured: Iterator[dict[str, Any]], projection: ProjectionName, left_out: Counter[str]
) -> list[dict[str, Any]]:
    """All that `measured` yields, so that real prefixes and nulls stay paired; nothing, and why, if one fails."""
    try:
        return list(measured)
    except TooManyConditionsError:
        left_out[f"ask more than one {projection} projection of a layer can meet"] += 1
    except NotFiniteError:
        left_out[f"overflow under the change of the {projection} projections"] += 1
    return []


def _listed(left_out: Counter[str]) -> str:
    """`left out: 3 that exceed the model's context, ...`, trajectories."""
    parts = [f"{count} that {why}" for why, count in left_out.items() if count]
    return f"left out: {', '.join(parts)}" if parts else "none left out"


def _layers(values: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a layer, from values of which those of layers are lists."""
    n = len(values["update_norm"])
    return [
        {"layer": layer} | {name: value[layer] if isinstance(value, list) else value for name, value in values.items()}
        for layer in range(n)
    ]


if __name__ == "__main__":
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"])
