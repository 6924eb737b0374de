"""`config/claims.yaml`: every claim of the paper, with the test that decides it or the reason why none does yet.

Tests, minimal effects and margins are fixed there before the data are looked at. Reported numbers are
keys into `config/reported.yaml`, so that each is written down once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import Field, model_validator

from raml.config import BenchmarkKind, Section, validate
from raml.errors import ConfigError

Exhibit = Literal[
    "prop2.1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "fig11", "fig12", "fig13",
    "fig14", "fig15", "fig16", "tab1", "tab2", "tab3", "sec4.3",
]  # fmt: skip

AnswerMethod = Literal["thinking", "no_thinking", "summary", "control"]


class CurveTrend(Section):
    """Whether answer-NLL curves fall: Spearman's rho of the NLL with the position, against -`minimal_effect`."""

    name: Literal["curve_trend"]
    model: str
    trajectories: Literal["correct", "incorrect"]
    direction: Literal["falls", "does_not_fall"]
    minimal_effect: float = Field(gt=0, lt=1, description="smallest fall that matters, in rho")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    min_positions: int = Field(ge=3, description="curves with fewer probed positions are left out")
    why: str = Field(min_length=1, description="why these numbers")


class ModePair(Section):
    """Whether no-thinking curves of correct trajectories differ from thinking ones, paired by trajectory.

    `half_fall` is the share of the trajectory read when a curve first has made half of its fall (1 if it ends no
    lower than it starts), `end` the NLL at the last position. The difference is no-thinking less thinking.
    """

    name: Literal["mode_pair"]
    model: str
    quantity: Literal["half_fall", "end"]
    direction: Literal["below", "above"]
    minimal_effect: float = Field(gt=0, description="smallest difference that matters, in the quantity's unit")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    min_positions: int = Field(ge=3, description="curves with fewer probed positions are left out")
    why: str = Field(min_length=1, description="why these numbers")


class RoleChange(Section):
    """Whether tokens of a role change the NLL more than other tokens of the same trajectory.

    By the probability that the relative change at a token of the role is the larger one (ties count half), less
    one half.
    """

    name: Literal["role_change"]
    role: str
    minimal_effect: float = Field(gt=0, lt=0.5, description="smallest excess over one half that matters")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class LandscapeDescent(Section):
    """Whether a correct trajectory leads downhill on the landscape.

    By the share of the grid's points that lie lower than the curve's start, less the share that lies lower than
    its end.
    """

    name: Literal["landscape_descent"]
    minimal_effect: float = Field(gt=0, lt=1, description="smallest descent that matters, as a share of the grid")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class SameOutput(Section):
    """Whether changed weights without the trajectory give the logits of the weights as they are with it."""

    name: Literal["same_output"]
    tolerance: float = Field(
        gt=0, description="largest difference of a logit, mean over questions, that counts as none"
    )
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Construction(Section):
    """Whether the paper's own construction reproduces a block's output, by its relative error."""

    name: Literal["construction"]
    tolerance: float = Field(gt=0, description="largest relative error, mean over questions, that counts as an update")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Downhill(Section):
    """Whether the update that stands for a correct trajectory points along the negative gradient of the answer NLL.

    Its cosine with it lies above `minimal_effect`, and above that of shuffled and of random trajectories.
    """

    name: Literal["downhill"]
    projection: Literal["output", "value"]
    minimal_effect: float = Field(ge=0, lt=1, description="cosine, and lead over each null, that has to be exceeded")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class BestOrLevel(Section):
    """Whether `model` trails `baseline` by less than `margin` in Pass@k and mG-Pass@k, all questions pooled.

    A benchmark on which it trails by more can hide in the average; the decision's details and reason show each.
    """

    name: Literal["best_or_level"]
    model: str
    baseline: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    margin: float = Field(ge=0, lt=1, description="deficit that still counts as level, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class NotDominated(Section):
    """Whether `rival` fails to dominate `model`: it does if it leads by more than `margin` in both metrics."""

    name: Literal["not_dominated"]
    model: str
    rival: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    margin: float = Field(ge=0, lt=1, description="lead that still counts as level, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Beats(Section):
    """Whether each of `models` leads `baseline` in Pass@k and mG-Pass@k, all questions pooled."""

    name: Literal["beats"]
    models: list[str] = Field(min_length=1)
    baseline: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    minimal_effect: float = Field(ge=0, lt=1, description="lead that has to be exceeded, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class ColdStart(Section):
    """Whether GRPO from an SFT model leads GRPO from the base in Pass@k and mG-Pass@k, for every base model."""

    name: Literal["cold_start"]
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    minimal_effect: float = Field(ge=0, lt=1, description="lead that has to be exceeded, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Trend(Section):
    """Whether Pass@k and mG-Pass@k rise with a dose, in every series of models that differ in it alone.

    By Spearman's rho between dose and score within each block (a seed's question), averaged over the blocks whose
    models do not all score alike: without ties Page's statistic, rescaled to [-1, 1].
    """

    name: Literal["trend"]
    series: list[str] = Field(min_length=1, description="names from raml.runs.series")
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    left_out: dict[str, list[str]] = Field(
        default={}, description="by series, benchmarks on which it cannot rise by construction; shown, not deciding"
    )
    minimal_effect: float = Field(ge=0, lt=1, description="smallest rise that matters, in rho")
    min_questions: int = Field(ge=2, description="fewer questions that are not constant leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers and what is left out")

    @model_validator(mode="after")
    def _leaves_out_of_its_own_series(self) -> Self:
        if unknown := [name for name in self.left_out if name not in self.series]:
            raise ValueError(f"left_out names {unknown[0]!r}, which is none of the series {', '.join(self.series)}")
        return self


class TechniqueRun(Section):
    """One training technique: the model before and after, and whose trajectories its outer loss is taken on."""

    technique: str
    model: str
    start: str
    source: Literal["oracle", "own"]


class OuterLossFalls(Section):
    """Whether each technique lowers the outer loss: the answer NLL after trajectories of held-out questions (Eq. 8)."""

    name: Literal["outer_loss"]
    techniques: list[TechniqueRun] = Field(min_length=1)
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    minimal_effect: float = Field(ge=0, description="smallest fall that matters, in nats per answer token")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class MethodLead(Section):
    """Whether answers by one method of Figure 11 are right more often than by another, in Avg@k and in Pass@k."""

    name: Literal["method_lead"]
    model: str
    method: AnswerMethod
    baseline: AnswerMethod
    left_out: list[str] = Field(
        default=[], description="benchmarks on which the two are the same by construction; shown, not deciding"
    )
    minimal_effect: float = Field(ge=0, lt=1, description="lead that has to be exceeded, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers and what is left out")


class KeptAccuracy(Section):
    """Whether summaries keep a share of the accuracy of full trajectories, at no more than a share of their tokens."""

    name: Literal["kept_accuracy"]
    model: str
    least_accuracy: float = Field(gt=0, lt=1, description="share of Avg@k and of Pass@k that has to be exceeded")
    most_tokens: float = Field(gt=0, lt=1, description="share of the tokens that must not be reached")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


Test = (
    CurveTrend
    | ModePair
    | RoleChange
    | LandscapeDescent
    | SameOutput
    | Construction
    | Downhill
    | BestOrLevel
    | NotDominated
    | Beats
    | ColdStart
    | Trend
    | OuterLossFalls
    | MethodLead
    | KeptAccuracy
)


class Claim(Section):
    """One claim. `command` and `artifacts` hold the placeholder {scale}."""

    id: str = Field(min_length=1)
    exhibit: Exhibit
    statement: str = Field(min_length=1, description="the claim in our words")
    paper: str = Field(min_length=1, description="where the paper makes it")
    reported: list[str] = Field(default=[], description="keys of config/reported.yaml; none if there is only a plot")
    measured: str = Field(min_length=1, description="the quantity that decides it")
    test: Test | None = Field(default=None, discriminator="name")
    not_run: str | None = Field(default=None, min_length=1, description="why it is not tested, and what it needs")
    artifacts: list[str] = Field(default=[], description="tables and figures that show it")
    command: str = Field(min_length=1, description="regenerates it")

    @model_validator(mode="after")
    def _is_named_after_its_exhibit(self) -> Self:
        if self.id != self.exhibit and not self.id.startswith(f"{self.exhibit}-"):
            raise ValueError(f"id must be {self.exhibit!r} or begin with '{self.exhibit}-'")
        return self

    @model_validator(mode="after")
    def _is_tested_or_says_why_not(self) -> Self:
        if (self.test is None) == (self.not_run is None):
            raise ValueError("a claim needs either `test` or `not_run` (the reason), and not both")
        return self


@dataclass(frozen=True)
class Registry:
    """All claims in the file's order, and what the paper reports."""

    claims: list[Claim]
    reported: dict[str, Any]

    def reported_of(self, claim: Claim) -> dict[str, object] | None:
        """The numbers that the paper reports for `claim` by their keys, or None if it reports none."""
        return {key: _look_up(self.reported, key) for key in claim.reported} or None


def load_registry(claims: Path, reported: Path) -> Registry:
    """Read and check both files.

    Raises:
        ConfigError: unreadable YAML, an unknown key or exhibit, a repeated id, an exhibit without a claim, a
            claim with neither test nor reason, or a key that `reported` lacks; one line says which and where.
    """
    numbers = _read_mapping(reported)
    entries = _read_mapping(claims).get("claims")
    if not isinstance(entries, list):
        raise ConfigError(f"{claims} must hold a list under the key `claims`")
    registry = Registry([_claim(entry, place, claims) for place, entry in enumerate(entries, 1)], numbers)
    ids = [claim.id for claim in registry.claims]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise ConfigError(f"{claims}: id {repeated[0]!r} is used twice; ids must be unique")
    if missing := [name for name in get_args(Exhibit) if name not in {claim.exhibit for claim in registry.claims}]:
        raise ConfigError(f"{claims}: no claim for {', '.join(missing)}; add one, with `not_run` if it is not built")
    for claim in registry.claims:
        for key in claim.reported:
            if _look_up(numbers, key) is None:
                raise ConfigError(f"{claims}: claim {claim.id!r}: reported names {key!r}, which {reported} lacks")
    return registry


def _claim(entry: Any, place: int, path: Path) -> Claim:
    name = entry.get("id", f"number {place}") if isinstance(entry, dict) else f"number {place}"
    return validate(Claim, entry, f"{path}: claim {name!r}")


def _look_up(numbers: dict[str, Any], key: str) -> Any:
    """The value at a dotted key ("table2.sft_long"), None if there is none."""
    node: Any = numbers
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping, found {type(raw).__name__}")
    return raw
