"""A small results folder with known contents, and the report built from it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from raml.claims.result import ClaimResult
from raml.config import Evaluation, Probing, Scale, Section, canonical_json, load_scale
from raml.report import build, trajectories
from raml.report.charts.svg import drawing, write_svg
from raml.lineage.environment import Environment
from raml.report.exhibit import Cell, Column, Exhibit, Reading, Row, Table, Token, read_sources, write_exhibit
from raml.report.viewer_chunks import part_names
from raml.report.theme import LIGHT
from raml.schemas import ProbeCurve, Question, Trajectory, column_types
from raml.step import run
from raml.storage import Provenance, write_json, write_table
from raml.trajectories.engine import PROGRAM
from raml.trajectories.tokenizer import build_tokenizer

SEEDS = (0, 1)
QUESTIONS = 6
SAMPLES = 5
EXHIBITS = ("fig3", "fig16", "tab2")
HOSTILE = "<script>alert('&')</script>"
TURNED = "\u202eabc\u2066"
"""Marks that turn the direction of what follows, and are not closed."""

EVALUATION = Evaluation(n=4, k=2, bootstrap_resamples=50, confidence=0.95)
PROBING = Probing(
    models=["sft_long", "base", "sft_short"],
    benchmarks=["rows"],
    trajectories_per_question=SAMPLES + 1,
    stride=1,
    token_budget=64,
    end_of_thinking="</think>",
    threads=1,
)
MACHINE = Environment(
    processor=f"Some {HOSTILE} CPU",
    architecture="x86_64",
    instructions=["avx2", "fma"],
    gpus=[],
    system="Linux, glibc 2.36",
    python="3.11.2",
    packages={"torch": "2.13.0"},
)
FACTS: list[dict[str, Any]] = [
    {"model": model, "seed": seed, "parameters": 120, "sha256": f"{number}{seed}" * 32}
    for seed in SEEDS
    for number, model in enumerate(("base", "sft_short", "sft_long"))
]


def provenance(scale: str = "minimal") -> Provenance:
    return Provenance(scale=scale, config_hash="c0ffee000000", code_version="0.1.0+abc", seed=0)


def question_rows() -> list[dict[str, Any]]:
    common: dict[str, Any] = {"source": "raml", "family": "rows", "domain": "arithmetic", "split": "rows"}
    common |= {"kind": "in_domain", "answer_type": "integers", "difficulty": 1, "metadata": "{}"}
    return [
        {
            "id": f"rows-{index:02d}" if index else f"rows-00 {HOSTILE}",
            "prompt": f"A +{index} +1 ; $x$ {HOSTILE} {TURNED} rows ?",
            "answer": str(index + 1),
            **common,
        }
        for index in range(QUESTIONS)
    ]


def curve_rows(
    seed: int, *, correct_share: float = 0.5, noise: float = 0.2, model: str = "sft_long"
) -> list[dict[str, Any]]:
    """Thinking curves that fall to 0 (correct) or to half (incorrect); every second sample is correct by default."""
    rng = np.random.default_rng(seed)
    number_ids = build_tokenizer().get_vocab()
    rows = []
    for question in question_rows():
        for sample in range(2 * SAMPLES):
            correct = sample < 2 * SAMPLES * correct_share
            length = 6 + sample % 3
            fall = np.linspace(8, 0 if correct else 4, length + 1)
            trajectory = {
                "trajectory_id": f"{question['id']}/{model}/{sample}",
                "question_id": question["id"],
                "benchmark": question["split"],
                "model": model,
                "seed": seed,
                "mode": "thinking",
                "answer": question["answer"],
                "correct": correct,
                "length": length,
            }
            rows += [
                trajectory
                | {"position": position, "token_id": number_ids[str(position)] if position else None, "nll": float(nll)}
                for position, nll in enumerate(np.abs(fall + rng.normal(0, noise, length + 1)))
            ]
    return rows


def no_thinking_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The no-thinking curves of the same trajectories: halved at the first token, and 1 nat higher at the end."""
    return [
        row
        | {
            "mode": "no_thinking",
            "nll": row["nll"] * (1.0 if row["position"] == 0 else 0.4) + (row["position"] == row["length"]),
        }
        for row in rows
    ]


def write_curves(path: Path, rows: list[dict[str, Any]], scale: str = "minimal") -> Path:
    write_table(ProbeCurve.cast(pl.DataFrame(rows, infer_schema_length=None)), ProbeCurve, path, provenance(scale))
    return path


def sample_rows(seed: int, model: str = "sft_long") -> list[dict[str, Any]]:
    """The samples behind `curve_rows`; of each question one too long, two without thinking and one cut off besides."""
    number_ids = build_tokenizer().get_vocab()
    rows = []
    for question in question_rows():
        for sample in range(2 * SAMPLES + 4):
            followed = sample < 2 * SAMPLES
            length = {0: 250, 1: 0, 2: 0, 3: 100}.get(sample - 2 * SAMPLES, 6 + sample % 3)
            finished = sample != 2 * SAMPLES + 3
            ids = [number_ids[str(sample % 20)]] * (length + 1)  # another trajectory each
            rows.append(
                {
                    "question_id": question["id"],
                    "writer": model,
                    "sample": sample,
                    "seed": seed,
                    **PROGRAM.columns(),
                    "prompt_ids": [1],
                    "token_ids": ids,
                    "loss_mask": [True] * len(ids),
                    "text": "",
                    "thinking_start": 0,
                    "thinking_end": length,
                    "answer_start": length if finished else None,
                    "answer_end": length + 1 if finished else None,
                    "finished": finished,
                    "correct": sample < SAMPLES if followed else sample == 2 * SAMPLES + 1,
                    "formatted": finished,
                    "reward": 0.0,
                    "n_tokens": len(ids),
                }
            )
    return rows


def write_samples(path: Path, seed: int, model: str = "sft_long") -> Path:
    table = Trajectory.cast(pl.DataFrame(sample_rows(seed, model), schema=column_types(Trajectory)))
    write_table(table, Trajectory, path, provenance())
    return path


def effect(estimate: float, interval: tuple[float, float], threshold: float, side: str, verdict: str) -> dict[str, Any]:
    parts = {"estimate": estimate, "interval": interval, "threshold": threshold, "side": side, "verdict": verdict}
    of = {"quantity": "outer loss/own", "model": "sft_long", "baseline": None, "over": "all benchmarks"}
    return parts | of | {"name": "a", "label": "fall: SFT long", "unit": "nats/token", "questions": 6, "seeds": 2}


def claim(identity: str, exhibit: str, verdict: str, *effects: dict[str, Any], **values: Any) -> dict[str, Any]:
    result = {
        "id": identity,
        "exhibit": exhibit,
        "statement": f"statement of {identity} {HOSTILE}",
        "paper": "Figure 3",
        "quantity": "how far the curve falls",
        "reported": None,
        "verdict": verdict,
        "reason": f"reason of {identity}.",
        "effects": effects,
        "combine": "all" if effects else None,
        "command": "snakemake results/minimal/claims.json",
    }
    return ClaimResult.model_validate(result | values).model_dump(mode="json")


AGAINST = {"key": "AIME24 P8", "reported": 36.69, "measured": 33.2, "difference": -3.49, "interval": [-5.1, -1.9]}
OPEN = effect(0.0, (-0.1, 0.1), -0.02, "above", "inconclusive")
CLAIMS = [
    claim("prop2.1", "prop2.1", "not_run", reported={"table2": {"sft_long": {"AIME24": {"P8": 36.69}}}}),
    claim("fig3", "fig3", "holds", effect(-7.934, (-8.1, -7.76), -0.3, "below", "holds"), p=0.0004, p_holm=0.0012)
    | {"verdict_holm": "holds", "by_construction": True, "limits": "This is how it is built."},
    claim("fig16", "fig16", "contradicted", effect(-4.0, (-4.5, -3.5), -3.4, "above", "contradicted"), p=0.02)
    | {"verdict_holm": "inconclusive", "p_holm": 0.06},
    claim("tab2", "tab2", "inconclusive", OPEN, OPEN | {"estimate": None, "interval": None}, p=0.7, p_holm=0.7)
    | {"verdict_holm": "inconclusive", "against_reported": [AGAINST | {"tolerance": 3.0, "within": False}]},
    claim("tab2-grpo", "tab2", "not_run", needs="a second model", decidable_at=["small", "paper"]),
]


class Results:
    """Paths of the results folder, and the steps run on it as the workflow runs them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.curves = []
        for seed in SEEDS:
            rows = curve_rows(seed)
            self.curves.append(write_curves(root / f"probes/seed{seed}/curves.parquet", rows + no_thinking_rows(rows)))
        self.samples = [write_samples(root / f"samples/seed{seed}.parquet", seed) for seed in SEEDS]
        self.questions = root / "questions.parquet"
        columns = {name: pl.DataFrame(question_rows())[name] for name in Question.column_names()}
        write_table(Question.cast(pl.DataFrame(columns)), Question, self.questions, provenance())
        build_tokenizer().save_pretrained(str(root / "tokenizer"))
        self.claims, self.machine, self.models = (root / f"{name}.json" for name in ("claims", "machine", "models"))
        write_json([one | {"artifacts": [self.figure("fig3").as_posix()]} for one in CLAIMS], self.claims)
        write_json(MACHINE.model_dump(mode="json"), self.machine)
        write_json(FACTS, self.models)
        for name in EXHIBITS:
            self.draw(name)

    def figure(self, name: str) -> Path:
        return self.root / f"figures/{name}.svg"

    def exhibit(self, name: str) -> Path:
        return self.root / f"figures/{name}.json"

    def draw(self, name: str) -> None:
        """An exhibit with all that one can have; `tab2` rests on a file that git keeps."""
        with drawing():
            figure = Figure(figsize=(3, 2))
            figure.subplots().plot([0, 1], [1, 0], color=LIGHT["series-1"])
            figure.text(0, 0, HOSTILE)
            write_svg(figure, self.figure(name), name=name, title=name, description=f"a line {TURNED}")
        columns = [Column(heading=text, group="rows", side="here", reported=text == "b") for text in ("a", "b")]
        cells = [Cell(text="\N{MINUS SIGN}7,934.5", small="\N{MINUS SIGN}8,100 to 1.5"), Cell(text=HOSTILE)]
        table = Table(caption="Means", corner="x", columns=columns, rows=[Row(heading="one", group="all", cells=cells)])
        reading = {"prompt": question_rows()[0]["prompt"], "gold_answer": "1", "start_nll": 2.0, "heading": "One"}
        exhibit = Exhibit(
            id=name,
            title=f"Exhibit {name}",
            lead="What it shows.",
            scale="minimal",
            description="A line falls.",
            caption="A caption.",
            done=["a"],
            deviations=[],
            n=[("questions", QUESTIONS)],
            tables=[table, table.model_copy(update={"caption": "Empty", "rows": []})],
            readings=[Reading(tokens=[Token(text="1", nll=1.0)], **reading)] if name == "fig3" else [],
            sources=read_sources([self.questions] if name == "tab2" else self.curves, "minimal"),
        )
        write_exhibit(exhibit, self.exhibit(name))

    def lay_out_trajectories(self, folder: Path | None = None, **given: Any) -> Path:
        """The viewer's page; its parts lie in a folder beside it."""
        report = folder or self.root / "report"
        names = part_names(SEEDS, ["sft_long"], {"rows": QUESTIONS})
        paths = {
            "questions": self.questions,
            "tokenizer": self.root / "tokenizer/tokenizer.json",
            "curves": self.curves,
            "samples": self.samples,
            "page": report / "trajectories.html",
            "parts": [report / f"trajectories/{name}.js" for name in names],
        }
        job = trajectories.Job(probing=PROBING, exhibits=list(EXHIBITS))
        step(trajectories, job, trajectories.Job, trajectories.FILES, **(paths | given))
        return report / "trajectories.html"

    def build(self, folder: Path | None = None, **given: Any) -> Path:
        """The other pages; returns the first one."""
        report = folder or self.root / "report"
        paths: dict[str, Any] = {
            "claims": self.claims,
            "models": self.models,
            "lock": Path("requirements/core.lock"),
            "machine": self.machine,
            "exhibits": [self.exhibit(name) for name in EXHIBITS],
            "figures": [self.figure(name) for name in EXHIBITS],
            "forest": [(folder or self.root) / f"figures/{name}.svg" for name in ("forest", "forest-narrow")],
            "index": report / "index.html",
            "origins": report / "provenance.html",
            "scales": report / "scales.html",
            "pages": [report / f"{name}.html" for name in EXHIBITS],
        }
        scale = load_scale("minimal", {"evaluation": EVALUATION.model_dump(), "seeds": list(SEEDS)})
        step(build, scale, Scale, build.FILES, **(paths | given))
        return report / "index.html"


def step(module: Any, config: Section, section: type[Section], files: Any, **paths: Any) -> None:
    """Run a step through its command line."""
    arguments = ["--scale", "minimal", "--config", canonical_json(config)]
    for name, value in paths.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *map(str, values)]
    run(module.main, section, **files, arguments=arguments)
