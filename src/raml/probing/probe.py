"""Answer-NLL curves of one model along its own sampled trajectories, correct and incorrect ones (figs 3, 5, 12-16).

Two modes share every trajectory's cache: in thinking mode the answer marker is forced right after the first i
thinking tokens, as Algorithm 3 has it; in no-thinking mode the end of the thinking comes between the two.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from raml.config import Probing, Section
from raml.probing.chosen import Chosen, choose_trajectories, trajectory_id
from raml.probing.curves import Curve, Probe, answer_nll_curves
from raml.probing.forced import forced_probe
from raml.progress import progress
from raml.schemas import ProbeCurve, Question, Trajectory
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained, on_device

EMPTY = ProbeCurve.create_empty()


class Job(Section):
    """The sections that probing depends on."""

    probing: Probing


def main(step: Step[Job]) -> None:
    """Probe the chosen trajectories of the model called `writer` and write one row per curve point and mode."""
    settings, writer = step.config.probing, step.names["writer"]
    torch.set_num_threads(settings.threads)
    questions = read_table(step.files["questions"], Question)
    samples = read_table(step.files["samples"], Trajectory)
    chosen, passed_over = choose_trajectories(questions, samples, settings, writer)
    model, tokenizer = load_pretrained(step.files["model"])
    model = on_device(model)

    tables: list[pl.DataFrame] = [EMPTY]
    too_long = 0
    with progress("probing", len(chosen), "trajectory") as line:
        for _, of_question in groupby(chosen, key=lambda one: one.question_id):
            asked = list(of_question)
            probes = mode_probes(tokenizer, asked[0].gold, settings.end_of_thinking)
            fitting = those_that_fit(asked, probes, model.config.max_position_embeddings)
            too_long += len(asked) - len(fitting)
            if fitting:
                both_modes = answer_nll_curves(
                    model,
                    fitting[0].prompt_ids,
                    [trajectory.thinking_ids for trajectory in fitting],
                    list(probes.values()),
                    stride=settings.stride,
                    token_budget=settings.token_budget,
                )
                for trajectory, curves in zip(fitting, both_modes, strict=True):
                    for mode, curve in zip(probes, curves, strict=True):
                        tables.append(curve_table(trajectory, mode, curve, settings.stride, writer, step.seed))
            line.update(len(asked))

    correct = sum(trajectory.correct for trajectory in chosen)
    print(
        f"chosen: {correct} correct and {len(chosen) - correct} incorrect trajectories; skipped: {too_long} of them "
        f"that with the gold answer exceed the model's context, {passed_over.empty} of all {passed_over.ended} samples "
        f"that ended with an answer but have no thinking ({passed_over.empty_correct} of them correct), and "
        f"{passed_over.unfinished} of all {passed_over.incorrect} incorrect samples that did not end with an answer"
    )
    provenance = step.provenance(model_hash=model_hash(step.files["model"]))
    write_table(pl.concat(tables), ProbeCurve, step.files["out"], provenance)


def mode_probes(tokenizer: PreTrainedTokenizerBase, gold: str, end_of_thinking: str) -> dict[str, Probe]:
    """What is forced after a prefix in each mode of `schemas.ProbeCurve`.

    Raises:
        InputError: the tokenizer does not know part of it.
    """
    return {
        "thinking": forced_probe(tokenizer, gold),
        "no_thinking": forced_probe(tokenizer, gold, end_of_thinking=end_of_thinking),
    }


def those_that_fit(asked: Sequence[Chosen], probes: Mapping[str, Probe], context: int) -> list[Chosen]:
    """The trajectories that with prompt and every probe stay within `context` tokens."""
    forced = max(len(probe.marker_ids) + len(probe.answer_ids) for probe in probes.values())
    return [one for one in asked if len(one.prompt_ids) + len(one.thinking_ids) + forced <= context]


def curve_table(trajectory: Chosen, mode: str, curve: Curve, stride: int, model: str, seed: int) -> pl.DataFrame:
    """`curve` [positions] along `trajectory`, of the model called `model`, as rows of `schemas.ProbeCurve`."""
    ids = trajectory.thinking_ids
    positions = range(0, len(ids) + 1, stride)
    return pl.DataFrame(
        {
            "trajectory_id": trajectory_id(trajectory, model),
            "question_id": trajectory.question_id,
            "benchmark": trajectory.benchmark,
            "model": model,
            "seed": seed,
            "mode": mode,
            "answer": trajectory.gold,
            "correct": trajectory.correct,
            "position": positions,
            "length": len(ids),
            "token_id": [ids[position - 1] if position else None for position in positions],
            "nll": curve,
        },
        schema=EMPTY.schema,
    )


if __name__ == "__main__":
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"], names=["writer"])
