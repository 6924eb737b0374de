"""Tables of answers with a known outcome: each way's chance of a right answer and its tokens."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from raml.schemas import ForcedAnswer

KINDS = {"rows": "in_domain", "rows_hard": "in_domain_hard", "path": "other_domain"}
SKILLS = {
    "thinking": 0.7, "budget 8": 0.05, "budget 32": 0.4, "no_thinking": 0.05, "summary": 0.6, "control": 0.1,
}  # fmt: skip
THINKING = {"thinking": 50, "budget 8": 8, "budget 32": 32, "no_thinking": 0, "summary": 12, "control": 12}
AFTER = 8  # tokens of an answer


def forced_answers(
    skills: Mapping[str, float] = SKILLS,
    *,
    tokens: Mapping[str, int] = THINKING,
    questions: int = 30,
    seeds: int = 1,
    samples: int = 16,
    summaries: int = 2,
    leaked: float = 0.0,
    benchmarks: tuple[str, ...] = ("rows", "rows_hard"),
    model: str = "sft_long",
) -> pl.DataFrame:
    """Rows of `schemas.ForcedAnswer`; a share `leaked` of the summaries leak."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for benchmark in benchmarks:
            for question in range(questions):
                for way, skill in skills.items():
                    method, _, budget = way.partition(" ")
                    variants = range(summaries) if method in ("summary", "control") else [int(budget or 0)]
                    for sample in range(samples):
                        for variant in variants:
                            leaks = method == "summary" and rng.random() < leaked
                            rows.append(
                                {
                                    "model": model,
                                    "seed": seed,
                                    "benchmark": benchmark,
                                    "kind": KINDS[benchmark],
                                    "question_id": f"{benchmark}-{question:03}",
                                    "sample": sample,
                                    "method": method,
                                    "variant": variant,
                                    "thinking_tokens": tokens[way],
                                    "answer_tokens": 0 if leaks else AFTER,
                                    "leaked": bool(leaks),
                                    "correct": None if leaks else bool(rng.random() < skill),
                                }
                            )
    return ForcedAnswer.cast(pl.DataFrame(rows, infer_schema_length=None)) if rows else ForcedAnswer.create_empty()
