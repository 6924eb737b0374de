"""Make base models of a seed's trunk: the end of pretraining, with a share of documents in the long style.

How often a base model thinks at length unasked is decided here, where the learning rate falls from half its
peak to 0, so that base models that differ in this alone cost a quarter of a pretraining each.
"""

import random
from itertools import islice

import torch
from pydantic import Field
from transformers import LlamaForCausalLM

from raml.config import Annealing, Oracle, Pretraining, Section
from raml.questions.family import stable_seed
from raml.step import Step, check_lengths, run
from raml.storage import model_hash
from raml.training.mixture import Mixture
from raml.training.pretrain import held_out, save_model, train
from raml.trajectories.pretrained import load_pretrained


class Job(Section):
    """The base models to make, and the sections that they share."""

    runs: list[Annealing] = Field(min_length=1)
    pretraining: Pretraining
    oracle: Oracle


def main(step: Step[Job]) -> None:
    """Anneal the trunk once for each run and save a Hugging Face folder each.

    Two runs with the same share draw the same documents; runs with different shares the same questions at first.
    """
    pretraining, runs = step.config.pretraining, step.config.runs
    starts, outs = step.lists["starts"], step.lists["outs"]
    check_lengths({"runs": runs, "--starts": starts, "--outs": outs})
    torch.set_num_threads(pretraining.threads)
    benchmarks = held_out(step.files["benchmarks"])
    for start, out, settings in zip(starts, outs, runs, strict=True):
        model, tokenizer = load_pretrained(start)
        assert isinstance(model, LlamaForCausalLM)
        mixture = Mixture(tokenizer, pretraining, step.config.oracle, benchmarks, settings.long_share)
        rng = random.Random(stable_seed("anneal", step.seed))
        batches = islice(mixture.batches(rng, drill_share=pretraining.drill_share), settings.steps)

        def rate(step: int, total: int = settings.steps) -> float:
            return 0.5 * (1 - step / total)

        train(model, batches, settings.steps, rate, pretraining, pad=tokenizer.pad_token_id)
        save_model(model, tokenizer, out, step.provenance(model_hash=model_hash(start)))


if __name__ == "__main__":
    run(main, Job, inputs=["benchmarks"], many=["starts"], many_outputs=["outs"])
