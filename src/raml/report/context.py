"""What the two files of an exhibit can name: the scale, its effects and verdicts, and how to say numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from raml.claims.effects import ALL, POOLS
from raml.claims.labels import MODEL_LABELS, model_label
from raml.claims.result import ClaimResult
from raml.config import Scale
from raml.config.reading import read_yaml
from raml.errors import ConfigError, DataError
from raml.report import numbers
from raml.report.shown import Effects, in_words, points
from raml.runs import batches, regimes, series

KINDS: Final[Mapping[str, str]] = {
    "in_domain": "in domain",
    "in_domain_hard": "in domain, hard",
    "within_domain": "same domain",
    "other_domain": "other domain",
}
PAPER_MODEL: Final = "Qwen2.5-7B"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of the scale."""

    name: str
    kind: str
    questions: int

    @property
    def small(self) -> str:
        """`in domain, 48 questions`."""
        return f"{KINDS[self.kind]}, {numbers.count(self.questions, 'question')}"


def context(
    scale: Scale, effects: Effects, claims: Sequence[ClaimResult], reported: Path, size: int, **further: Any
) -> dict[str, Any]:
    """The names that are the same for all exhibits.

    Args:
        scale: what was run.
        effects: of the scale.
        claims: decided.
        reported: `reported.yaml`.
        size: parameters of the base model.
        further: names of the exhibit's own.

    Raises:
        DataError: `reported` cannot be read.
    """
    try:
        paper = read_yaml(reported)
    except ConfigError as error:
        raise DataError(f"{reported} does not hold the paper's numbers ({error})") from None
    k, n = scale.evaluation.k, scale.evaluation.n
    present = {
        effect.spec.model for model in MODEL_LABELS if (effect := effects.find(quantity=f"Pass@{k}", model=model))
    }
    runs = {run.model: run.start for batch in batches(scale) for run in batch.runs}
    return {
        "scale": scale,
        "claims": claims,
        "paper": paper,
        "paper_model": PAPER_MODEL,
        "size": numbers.millions(size),
        "base_model": f"{Path(scale.base.model).name} ({numbers.millions(size)} parameters)" if scale.base else "",
        "k": k,
        "n": n,
        "metrics": [f"Pass@{k}", f"mG-Pass@{k}"],
        "average": f"Avg@{n}",
        "answers": [f"Avg@{scale.efficiency.n}", f"Pass@{scale.efficiency.n}"],
        "seeds": effects.seeds,
        "confidence": f"{scale.evaluation.confidence:.0%}",
        "resamples": f"{scale.evaluation.bootstrap_resamples:,}",
        "models": [name for name in MODEL_LABELS if name in present],
        "all_models": list(MODEL_LABELS),
        "starts": runs,
        "series": series(scale),
        "regimes": regimes(scale),
        "benchmarks": partial(_benchmarks, scale),
        "pools": list(POOLS),
        "everything": ALL,
        "probed": scale.probing.models,
        "effects": effects,
        "find": effects.find,
        "words": lambda show=None, **parts: in_words(effects.find(**parts), show),
        "label": model_label,
        "listed": numbers.listed,
        "number": numbers.number,
        "percent": numbers.percent,
        "points": points,
        "count": numbers.count,
        "seed_spread": numbers.seed_spread(effects.seeds),
        "short": numbers.short,
        "quoted": quoted,
        **further,
    }


def quoted(text: str) -> str:
    """Any text as a quoted scalar of YAML."""
    plain = (one if one.isascii() and one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text)
    return f'"{"".join(plain)}"'


def _benchmarks(scale: Scale, pool: str = ALL) -> list[Benchmark]:
    """Those of a pool, by kind, then name."""
    asked = (scale.published or scale.questions).benchmarks  # type: ignore[union-attr]
    kinds = POOLS.get(pool, tuple(KINDS))
    found = [Benchmark(name, one.kind, one.n) for name, one in asked.items() if one.kind in kinds]
    return sorted(found, key=lambda one: (list(KINDS).index(one.kind), one.name))
