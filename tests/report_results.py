"""A small results folder with known contents, and the report built from it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from raml.claims.result import ClaimResult
from raml.config import Evaluation, Probing, Scale, Section, canonical_json, load_scale
from raml.lineage.environment import Environment
from raml.report import build, fig6, tab2, trajectories
from raml.report.curves import Job
from raml.report.curves_exhibit import FILES
from raml.report.parts import part_names
from raml.schemas import MetricTable, ProbeCurve, Question, TokenChange, Trajectory, column_types
from raml.step import run
from raml.storage import Provenance, write_json, write_table
from raml.trajectories.engine import PROGRAM
from raml.trajectories.tokenizer import build_tokenizer

SEEDS = (0, 1)
QUESTIONS = 6
SAMPLES = 5
MODELS = ("base", "sft_short", "sft_long")
BENCHMARKS = {"rows": "in_domain", "rows_hard": "in_domain_hard", "sort": "within_domain", "path": "other_domain"}
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
ROLES = {"reflection": ["Wait", "Hold on"], "digits": [r"\d+"], "delimiters": [";"]}


def provenance(scale: str = "minimal") -> Provenance:
    return Provenance(scale=scale, config_hash="c0ffee000000", code_version="0.1.0+abc", seed=0)


def question_rows() -> list[dict[str, Any]]:
    return [
        {
            "id": f"rows-{index:02d}" if index else f"rows-00 {HOSTILE}",
            "source": "raml",
            "family": "rows",
            "domain": "arithmetic",
            "split": "rows",
            "kind": "in_domain",
            "prompt": f"A +{index} +1 ; $x$ {HOSTILE} {TURNED} rows ?",
            "answer": str(index + 1),
            "answer_type": "integers",
            "difficulty": 1,
            "metadata": "{}",
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
            for position, nll in enumerate(np.abs(fall + rng.normal(0, noise, length + 1))):
                rows.append(
                    {
                        "trajectory_id": f"{question['id']}/{model}/{sample}",
                        "question_id": question["id"],
                        "benchmark": question["split"],
                        "model": model,
                        "seed": seed,
                        "mode": "thinking",
                        "answer": question["answer"],
                        "correct": correct,
                        "position": position,
                        "length": length,
                        "token_id": None if position == 0 else number_ids[str(position)],
                        "nll": float(nll),
                    }
                )
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


def change_rows(seed: int) -> list[dict[str, Any]]:
    """Token changes in every role; those of `Wait` are ten times as large, `Hold on` follows an NLL of 0."""
    rng = np.random.default_rng(seed)
    texts = ["Wait", "1", ";", "2", "ok", "Hold on", "3", "4"]
    roles = ["reflection", "digits", "delimiters", "digits", "other", "reflection", "digits", "digits"]
    rows = []
    for question in question_rows():
        for sample in range(2 * SAMPLES):
            for place, (text, role) in enumerate(zip(texts, roles, strict=True), 1):
                before = 0.0 if text == "Hold on" else 2.0
                relative = float(rng.uniform(0.04, 0.06) * (10 if text == "Wait" else 1))
                after = 0.5 if text == "Hold on" else before * (1 - relative)
                rows.append(
                    {
                        "trajectory_id": f"{question['id']}/sft_long/{sample}",
                        "question_id": question["id"],
                        "benchmark": question["split"],
                        "model": "sft_long",
                        "seed": seed,
                        "correct": sample < SAMPLES,
                        "position": place,
                        "token": text,
                        "role": role,
                        "before": before,
                        "after": after,
                        "relative_change": None if before == 0 else relative,
                    }
                )
    return rows


def write_changes(path: Path, rows: list[dict[str, Any]], scale: str = "minimal") -> Path:
    table = TokenChange.cast(pl.DataFrame(rows, schema=column_types(TokenChange)))
    write_table(table, TokenChange, path, provenance(scale))
    return path


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


def metric_rows() -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "benchmark": benchmark,
            "kind": kind,
            "metric": metric,
            "value": 0.1 + 0.2 * place,
            "lower": 0.05 + 0.2 * place,
            "upper": 0.15 + 0.2 * place,
            "n_questions": 7,
            "n_samples": 28,
        }
        for place, model in enumerate(MODELS)
        for benchmark, kind in BENCHMARKS.items()
        for metric in ("Pass@2", "mG-Pass@2", "Avg@4")
    ]


def claim(identity: str, exhibit: str, verdict: str, **values: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "id": identity,
        "exhibit": exhibit,
        "statement": f"statement of {identity} {HOSTILE}",
        "paper": "Figure 3",
        "reported": None,
        "measured": None,
        "unit": None,
        "interval": None,
        "n": None,
        "verdict": verdict,
        "reason": f"reason of {identity}",
        "details": {},
        "artifacts": ["results/minimal/figures/fig3.svg"],
        "command": f"snakemake {identity}",
    }
    return ClaimResult.model_validate(result | values).model_dump(mode="json")


CLAIMS = [
    claim("prop2.1", "prop2.1", "not_run", reported={"table2": {"sft_long": {"AIME24": {"P8": 36.69}}}}),
    claim(
        "fig3",
        "fig3",
        "holds",
        measured=-7.934,
        interval=(-8.1, -7.76),
        unit="nats/token",
        n={"questions": 6, "seeds": 2, "probed_positions": 480},
        line=-0.3,
        claimed="below",
        p=0.0004,
        p_holm=0.0012,
        verdict_holm="holds",
    ),
    claim(
        "fig16",
        "fig16",
        "contradicted",
        measured=-4.0,
        interval=(-4.5, -3.5),
        unit="nats/token",
        line=-3.4,
        claimed="above",
        p=0.02,
        p_holm=0.06,
        verdict_holm="inconclusive",
    ),
    claim(
        "tab2",
        "tab2",
        "inconclusive",
        measured=0.0,
        interval=(-0.1, 0.1),
        unit="share",
        line=-0.02,
        claimed="above",
        p=0.7,
        p_holm=0.7,
        verdict_holm="inconclusive",
        needed={"questions": 1200, "seeds": 3},
        against_reported=[
            {"key": "AIME24 P8", "reported": 36.69, "measured": 33.2, "difference": -3.49, "interval": [-5.1, -1.9]}
            | {"tolerance": 3.0, "within": False}
        ],
    ),
    claim(
        "tab2-grpo",
        "tab2",
        "not_run",
        reported={"direction": "level"},
        needs="a second model",
        decidable_at=["small", "paper"],
    ),
]


def scale() -> Scale:
    return load_scale("minimal", {"evaluation": EVALUATION.model_dump(), "seeds": list(SEEDS)})


class Results:
    """Paths of the results folder, and the steps run on it as the workflow runs them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.curves = [
            write_curves(
                root / f"probes/seed{seed}/curves.parquet", [*(rows := curve_rows(seed)), *no_thinking_rows(rows)]
            )
            for seed in SEEDS
        ]
        self.samples = [write_samples(root / f"samples/seed{seed}.parquet", seed) for seed in SEEDS]
        self.changes = [write_changes(root / f"probes/seed{seed}/roles.parquet", change_rows(seed)) for seed in SEEDS]
        self.questions = root / "questions.parquet"
        columns = {name: pl.DataFrame(question_rows())[name] for name in Question.column_names()}
        write_table(Question.cast(pl.DataFrame(columns)), Question, self.questions, provenance())
        build_tokenizer().save_pretrained(str(root / "tokenizer"))
        self.metrics = root / "metrics.parquet"
        write_table(MetricTable.cast(pl.DataFrame(metric_rows())), MetricTable, self.metrics, provenance())
        self.claims = root / "claims.json"
        write_json([claim | {"artifacts": [self.figure("fig3").as_posix()]} for claim in CLAIMS], self.claims)
        self.machine = root / "environment.json"
        write_json(MACHINE.model_dump(mode="json"), self.machine)
        self.models = []
        for seed in SEEDS:
            for number, name in enumerate(MODELS):
                folder = root / f"models/seed{seed}/{name}"
                folder.mkdir(parents=True)
                save_file({"w": np.full((10, 12), number + seed, np.float32)}, folder / "model.safetensors")
                self.models.append(folder)

    def figure(self, name: str) -> Path:
        return self.root / f"figures/{name}.svg"

    def exhibit(self, name: str) -> Path:
        return self.root / f"figures/{name}.json"

    def draw_curves(
        self, module: Any, name: str, curves: list[Path] | None = None, samples: list[Path] | None = None
    ) -> None:
        step(
            module,
            Job(evaluation=EVALUATION, probing=PROBING),
            Job,
            FILES,
            curves=curves or self.curves,
            samples=samples or self.samples,
            questions=self.questions,
            tokenizer=self.root / "tokenizer/tokenizer.json",
            figure=self.figure(name),
            exhibit=self.exhibit(name),
        )

    def draw_fig6(self, changes: list[Path] | None = None, **paths: Path) -> None:
        given: dict[str, Any] = {
            "changes": changes or self.changes,
            "reported": Path("config/reported.yaml"),
            "figure": self.figure("fig6"),
            "exhibit": self.exhibit("fig6"),
        }
        job = fig6.Job(evaluation=EVALUATION, probing=PROBING, token_roles=ROLES)
        step(fig6, job, fig6.Job, fig6.FILES, **(given | paths))

    def draw_tab2(self, **paths: Path) -> None:
        given = {
            "metrics": self.metrics,
            "reported": Path("config/reported.yaml"),
            "model": self.models[0],
            "figure": self.figure("tab2"),
            "exhibit": self.exhibit("tab2"),
            "markdown": self.root / "tables/tab2.md",
        }
        job = tab2.Job(evaluation=EVALUATION, base=None, writers=None)
        step(tab2, job, tab2.Job, tab2.FILES, **(given | paths))

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
            "lock": Path("requirements/core.lock"),
            "machine": self.machine,
            "exhibits": [self.exhibit(name) for name in EXHIBITS],
            "figures": [self.figure(name) for name in EXHIBITS],
            "models": self.models,
            "index": report / "index.html",
            "origins": report / "provenance.html",
            "pages": [report / f"{name}.html" for name in EXHIBITS],
        }
        step(build, scale(), Scale, build.FILES, **(paths | given))
        return report / "index.html"


def step(module: Any, config: Section, section: type[Section], files: Any, **paths: Any) -> None:
    """Run a step through its command line."""
    arguments = ["--scale", "minimal", "--config", canonical_json(config)]
    for name, value in paths.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *map(str, values)]
    run(module.main, section, **files, arguments=arguments)
