"""Tables of an outer loop with known contents: six models, further base models, three seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from raml.config import Evaluation as Settings
from raml.evaluation.summarise import summarise
from raml.runs import Regime
from raml.schemas import Evaluation, MetricTable, OuterLoss, column_types
from raml.storage import Provenance, write_table

REPORTED = Path("config/reported.yaml")
SETTINGS = Settings(n=16, k=4, bootstrap_resamples=200, confidence=0.95)
SEEDS = (0, 1, 2)
QUESTIONS = 12
KINDS = {
    "path": "in_domain",
    "rows": "in_domain",
    "rows_hard": "in_domain_hard",
    "path_back": "within_domain",
    "rows_top": "within_domain",
    "number_sorting": "other_domain",
}
TRAINED = ("path", "rows", "rows_hard")
# The chance that a sample is right, on benchmarks of the three distances from training.
CHANCES = {
    "base": (0.25, 0.25, 0.45),
    "sft_short": (0.2, 0.22, 0.1),
    "sft_long": (0.6, 0.4, 0.03),
    "dpo": (0.65, 0.45, 0.05),
    "zero_grpo": (0.45, 0.3, 0.2),
    "sft_grpo": (0.8, 0.5, 0.1),
}
DISTANCE = {"in_domain": 0, "in_domain_hard": 0, "within_domain": 1, "other_domain": 2}
REGIMES = [
    Regime(long_share=0.0, base="base_p0", sft="sft_long_p0", zero_grpo="zero_grpo_p0", sft_grpo="sft_grpo_p0"),
    Regime(long_share=0.03, base="base_p3", sft="sft_long_p3", zero_grpo="zero_grpo_p3", sft_grpo="sft_grpo_p3"),
    Regime(long_share=0.12, base="base", sft="sft_long", zero_grpo="zero_grpo", sft_grpo="sft_grpo"),
]
# Of the models of the further base models: the rarer long trajectories, the less GRPO from the base finds.
SWEPT = {
    "base_p0": 0.1,
    "sft_long_p0": 0.45,
    "zero_grpo_p0": 0.12,
    "sft_grpo_p0": 0.6,
    "base_p3": 0.15,
    "sft_long_p3": 0.5,
    "zero_grpo_p3": 0.3,
    "sft_grpo_p3": 0.7,
}
STARTS = {
    "sft_short": "base",
    "sft_long": "base",
    "dpo": "sft_long",
    "zero_grpo": "base",
    "sft_grpo": "sft_long",
}
# The outer loss after the oracle's and after the model's own trajectories, and without any, in nats.
LOSSES = {
    "base": (1.6, 2.2, 3.0),
    "sft_short": (1.7, 2.4, 2.9),
    "sft_long": (0.6, 1.5, 2.8),
    "dpo": (0.5, 1.6, 2.9),
    "zero_grpo": (1.2, 1.0, 2.7),
    "sft_grpo": (0.4, 0.7, 2.8),
}


def provenance(scale: str = "minimal", seed: int | None = 0) -> Provenance:
    return Provenance(scale=scale, config_hash="c0ffee000000", code_version="0.1.0+abc", seed=seed)


def evaluation_rows(
    models: Sequence[str] = (*CHANCES, *SWEPT),
    seeds: Sequence[int] = SEEDS,
    kinds: Mapping[str, str] = KINDS,
    questions: int = QUESTIONS,
) -> list[dict[str, Any]]:
    """Counts drawn question by question; models of the sweep have half the samples and no transfer benchmarks."""
    rows = []
    for model in models:
        for seed in seeds:
            for benchmark, kind in kinds.items():
                if model in SWEPT and benchmark not in TRAINED:
                    continue
                chance = SWEPT[model] if model in SWEPT else CHANCES[model][DISTANCE[kind]]
                n = SETTINGS.n // 2 if model in SWEPT else SETTINGS.n
                rng = np.random.default_rng([seed, sum(map(ord, benchmark + model))])
                centre = np.clip(chance + 0.02 * (seed - 1), 0.02, 0.98)
                for index in range(questions):
                    c = rng.binomial(n, rng.beta(4 * centre, 4 * (1 - centre)))
                    rows.append(
                        {
                            "model": model,
                            "seed": seed,
                            "benchmark": benchmark,
                            "kind": kind,
                            "question_id": f"{benchmark}-{index:02d}",
                            "n": n,
                            "c": int(c),
                            "formatted": n,
                            "finished": n,
                            "tokens": 20 * n,
                        }
                    )
    return rows


def write_evaluations(path: Path, rows: list[dict[str, Any]], scale: str = "minimal") -> Path:
    table = Evaluation.cast(pl.DataFrame(rows, schema=column_types(Evaluation)))
    write_table(table, Evaluation, path, provenance(scale))
    return path


def write_metrics(path: Path, rows: list[dict[str, Any]], scale: str = "minimal") -> Path:
    """The metric table that the workflow makes of these evaluations."""
    table = Evaluation.cast(pl.DataFrame(rows, schema=column_types(Evaluation)))
    write_table(summarise(table, SETTINGS, 0), MetricTable, path, provenance(scale))
    return path


def outer_rows(
    seed: int, models: Sequence[str] = tuple(LOSSES), questions: int = QUESTIONS, trajectories: int = 2
) -> list[dict[str, Any]]:
    """Losses around `LOSSES`; a model's own second trajectory is wrong and ends a nat higher."""
    rows = []
    for model in models:
        rng = np.random.default_rng([seed, sum(map(ord, model))])
        oracle, own, without = LOSSES[model]
        for benchmark in TRAINED:
            for index in range(questions):
                empty = without + rng.uniform(-0.3, 0.3)
                for source, loss in (("oracle", oracle), ("own", own)):
                    for sample in range(trajectories):
                        correct = source == "oracle" or sample == 0
                        nll = loss * rng.uniform(0.6, 1.4) + (0.5 if source == "own" else 0) * (1 if sample else -1)
                        rows.append(
                            {
                                "model": model,
                                "seed": seed,
                                "benchmark": benchmark,
                                "kind": KINDS[benchmark],
                                "question_id": f"{benchmark}-{index:02d}",
                                "source": source,
                                "trajectory": f"{source if source == 'oracle' else model}/{sample}",
                                "correct": correct,
                                "length": 30,
                                "nll": float(max(nll, 0.0)),
                                "nll_without": float(empty),
                            }
                        )
    return rows


def write_outer(path: Path, rows: list[dict[str, Any]], scale: str = "minimal") -> Path:
    table = OuterLoss.cast(pl.DataFrame(rows, schema=column_types(OuterLoss)))
    write_table(table, OuterLoss, path, provenance(scale))
    return path


def tables(root: Path, models: Sequence[str] = (*CHANCES, *SWEPT), seeds: Sequence[int] = SEEDS) -> dict[str, Path]:
    """The inputs of the exhibits of scores, of some models and seeds."""
    rows = evaluation_rows(models, seeds)
    return {
        "metrics": write_metrics(root / "metrics.parquet", rows),
        "evaluations": write_evaluations(root / "evaluations.parquet", rows),
        "reported": REPORTED,
        "model": write_model(root / "base"),
    }


def outputs(root: Path, name: str) -> dict[str, Path]:
    """Where an exhibit is written."""
    return {
        "figure": root / f"{name}.svg",
        "exhibit": root / f"{name}.json",
        "markdown": root / f"{name}.md",
    }


def texts(figure: Path) -> set[str | None]:
    """All text in a figure."""
    root = ElementTree.fromstring(figure.read_bytes())
    return {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}


def ids(figure: Path) -> set[str]:
    """All ids in a figure."""
    root = ElementTree.fromstring(figure.read_bytes())
    return {element.attrib["id"] for element in root.iter() if "id" in element.attrib}


def write_model(folder: Path) -> Path:
    """A model's folder with 120 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"w": np.zeros((10, 12), np.float32)}, folder / "model.safetensors")
    return folder
