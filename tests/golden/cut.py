"""The input in micro/, cut from a run of the scale micro, and what is expected of it.

    PYTHONPATH=src python tests/golden/cut.py cut results/micro   # the first 8 questions of each kind, of one seed
    PYTHONPATH=src python tests/golden/cut.py expect              # what the code makes of them now

`before.json` was recorded once, by code that is gone: the verdict on each claim, its p, and the estimate, ends,
threshold and questions of each effect that decided it.
"""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl
import yaml

from raml.claims import decide
from raml.config import Scale, load_scale
from raml.quantities import measure
from raml.quantities.job import Job, job_of
from raml.step import Step

ROOT: Final = Path(__file__).parents[2]
MICRO: Final = Path(__file__).parent / "micro"
EXPECTED: Final = MICRO / "expected"
KEPT: Final = ("quantities.parquet", "effects.parquet", "claims.json", "metrics.json")
SEED, KEPT_QUESTIONS = 11, 8
QUESTIONS: Final = ("questions/benchmarks.parquet", "questions/train.parquet")
WRITTEN: Final = {style: f"trajectories/oracle_{style}.parquet" for style in ("short", "long")}
PROBED: Final = ("sft_long", "base", "sft_short")


def scale() -> Scale:
    """The scale micro with the one training seed that was kept."""
    return load_scale("micro", {"seeds": [SEED]}, ROOT / "config/scales")


def paths(table: str) -> list[str]:
    """Where a measurement table lies, in a scale's results and here."""
    models = PROBED if "{model}" in measure.PATHS[table] else ("",)
    return [measure.PATHS[table].format(seed=SEED, model=model) for model in models]


def cut(results: Path) -> None:
    """Write the first questions of each benchmark and the one seed of every measurement table."""
    for path in (*QUESTIONS, *WRITTEN.values(), *(path for name in measure.TABLES for path in paths(name))):
        table = pl.read_parquet(results / path)
        question = pl.col("id" if path.startswith("questions") else "question_id")
        rows = table.filter(question.is_null() | (question.str.extract(r"(\d+)$").cast(pl.Int32) < KEPT_QUESTIONS))
        if "seed" in rows.columns and path not in WRITTEN.values():  # whose seed is the writer's
            rows = rows.filter(seed=SEED)
        if "metadata" in rows.columns:
            rows = rows.with_columns(metadata=pl.lit("{}"))
        whence = {"raml": pl.read_parquet_metadata(results / path)["raml"]}
        (MICRO / path).parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(MICRO / path, compression="zstd", compression_level=19, metadata=whence)


def measuring(out: Path) -> Step[Job]:
    """The step that measures the quantities of the input."""
    lists = {name: [MICRO / path for path in paths(name)] for name in measure.TABLES}
    lists |= {"trajectories": [MICRO / path for path in WRITTEN.values()], "community": []}
    files = dict(zip(("questions", "train"), (MICRO / path for path in QUESTIONS), strict=True)) | {"out": out}
    return Step("raml.quantities.measure", "micro", job_of(scale()), 0, files, {}, lists, {"styles": list(WRITTEN)})


def make(folder: Path, only: Collection[str] = ()) -> None:
    """Measure the quantities of the input and decide the claims, as the workflow does; the outputs are in `folder`.

    Args:
        folder: which exists.
        only: claims that are decided, others are left out; all without any.
    """
    measure.main(measuring(folder / "quantities.parquet"))
    claims = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
    claims["claims"] = [one for one in claims["claims"] if not only or one["id"] in only]
    (folder / "claims.yaml").write_text(yaml.safe_dump(claims))
    files = {
        "quantities": folder / "quantities.parquet",
        "claims": folder / "claims.yaml",
        "reported": ROOT / "config/reported.yaml",
        "effects": folder / "effects.parquet",
        "out": folder / "claims.json",
        "metrics": folder / "metrics.parquet",
        "metrics_json": folder / "metrics.json",
        "verdicts": folder / "verdicts.json",
    }
    decide.main(Step("raml.claims.decide", "micro", scale(), 0, files, {}))


def expect() -> None:
    """Keep what the code makes of the input now."""
    EXPECTED.mkdir(exist_ok=True)
    make(EXPECTED)
    for path in EXPECTED.iterdir():
        if path.name not in KEPT:
            path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["cut"] and len(sys.argv) == 3:
        cut(Path(sys.argv[2]))
    elif sys.argv[1:] == ["expect"]:
        expect()
    else:
        sys.exit(__doc__)
