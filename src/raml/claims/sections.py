"""The tests that `config/claims.yaml` may name, a section each: what it compares, on which side of which line.

How each decides is said in the module of its name. Every one has a `direction`, the side of its line on which the claim
lies, and a line: `minimal_effect`, `margin`, `tolerance` or a share, in the unit that its description gives.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from raml.config import BenchmarkKind, Section

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
    direction: Literal["above"] = "above"
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
    direction: Literal["above"] = "above"
    minimal_effect: float = Field(gt=0, lt=1, description="smallest descent that matters, as a share of the grid")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class SameOutput(Section):
    """Whether changed weights without the trajectory give the logits of the weights as they are with it."""

    name: Literal["same_output"]
    direction: Literal["below"] = "below"
    tolerance: float = Field(
        gt=0, description="largest difference of a logit, mean over questions, that counts as none"
    )
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Construction(Section):
    """Whether the paper's own construction reproduces a block's output, by its relative error."""

    name: Literal["construction"]
    direction: Literal["below"] = "below"
    tolerance: float = Field(gt=0, description="largest relative error, mean over questions, that counts as an update")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Downhill(Section):
    """Whether the update that stands for a correct trajectory points along the negative gradient of the answer NLL.

    Its cosine with it lies above `minimal_effect`, and above that of shuffled and of random trajectories.
    """

    name: Literal["downhill"]
    direction: Literal["above"] = "above"
    projection: Literal["output", "value"]
    minimal_effect: float = Field(ge=0, lt=1, description="cosine, and lead over each null, that has to be exceeded")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class BestOrLevel(Section):
    """Whether `model` trails `baseline` by less than `margin` in Pass@k and mG-Pass@k, all questions pooled.

    A benchmark on which it trails by more can hide in the average; the decision's details and reason show each.
    """

    name: Literal["best_or_level"]
    direction: Literal["above"] = "above"
    model: str
    baseline: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    margin: float = Field(ge=0, lt=1, description="deficit that still counts as level, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class NotDominated(Section):
    """Whether `rival` fails to dominate `model`: it does if it leads by more than `margin` in both metrics."""

    name: Literal["not_dominated"]
    direction: Literal["below"] = "below"
    model: str
    rival: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    margin: float = Field(ge=0, lt=1, description="lead that still counts as level, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class Beats(Section):
    """Whether each of `models` leads `baseline` in Pass@k and mG-Pass@k, all questions pooled."""

    name: Literal["beats"]
    direction: Literal["above"] = "above"
    models: list[str] = Field(min_length=1)
    baseline: str
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    minimal_effect: float = Field(ge=0, lt=1, description="lead that has to be exceeded, as a share of 1")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class ColdStart(Section):
    """Whether GRPO from an SFT model leads GRPO from the base in Pass@k and mG-Pass@k, for every base model."""

    name: Literal["cold_start"]
    direction: Literal["above"] = "above"
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
    direction: Literal["above"] = "above"
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
    direction: Literal["above"] = "above"
    techniques: list[TechniqueRun] = Field(min_length=1)
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks whose questions count")
    minimal_effect: float = Field(ge=0, description="smallest fall that matters, in nats per answer token")
    min_questions: int = Field(ge=2, description="fewer questions leave the claim inconclusive")
    why: str = Field(min_length=1, description="why these numbers")


class MethodLead(Section):
    """Whether answers by one method of Figure 11 are right more often than by another, in Avg@k and in Pass@k."""

    name: Literal["method_lead"]
    direction: Literal["above"] = "above"
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
    direction: Literal["above"] = "above"
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
