"""Sections on evaluation and the probes."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raml.config.data import EngineSettings, HubModel, Sampling
from raml.config.section import Section

Normalisation = Literal["filter", "tensor"]


class Evaluation(Section):
    """Samples per question and the k of Pass@k and mG-Pass@k."""

    n: int = Field(gt=0)
    k: int = Field(gt=0)
    bootstrap_resamples: int = Field(gt=0)
    confidence: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _k_at_most_n(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k = {self.k} must be at most n = {self.n}")
        return self


class Probing(Section):
    """Which trajectories the answer-NLL curves follow (Algorithm 3), and in which modes."""

    models: list[str] = Field(min_length=1, description="probed along their own samples; the first is the main one")
    benchmarks: list[str] = Field(min_length=1)
    trajectories_per_question: int = Field(gt=0, description="at most, of each kind (correct, incorrect)")
    stride: int = Field(gt=0)
    token_budget: int = Field(gt=0, description="probe tokens packed into one forward")
    end_of_thinking: str = Field(min_length=1, description="closes the thinking in no-thinking mode (figs 5, 13, 15)")
    threads: int = Field(gt=0)


class Landscape(Section):
    """The answer NLL over two random directions in weight space (Algorithm 4, fig 2), of the main probed model."""

    questions: int = Field(gt=0, description="of the probed benchmarks in turn, those with a correct trajectory")
    size: int = Field(ge=3, description="grid points along each direction; odd, so that the weights themselves are one")
    radius: float = Field(gt=0, description="the grid covers [-radius, radius] in both directions")
    normalisation: Normalisation
    token_budget: int = Field(gt=0, description="tokens in one forward pass")
    threads: int = Field(gt=0)

    @model_validator(mode="after")
    def _size_is_odd(self) -> Self:
        if self.size % 2 == 0:
            raise ValueError("size must be odd, so that the grid holds its centre")
        return self


class Updates(Section):
    """Trajectories as weight updates (Proposition 2.1), of the main probed model."""

    questions: int = Field(gt=0, description="of the probed benchmarks in turn, those with a correct trajectory")
    positions: int = Field(gt=0, description="prefixes of each trajectory, evenly spread, the whole one included")
    draws: int = Field(gt=0, description="shuffled and random trajectories a real one is compared with")
    dimensions: list[Annotated[int, Field(ge=8)]] = Field(min_length=1, description="widths of random blocks")
    prompt_lengths: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="random blocks' prompts, tokens"
    )
    threads: int = Field(gt=0)


class Summariser(HubModel):
    """A published model that summarises trajectories, how it is asked and how it writes."""

    prompt: str = Field(description="holds the placeholders {question} and {thinking}")
    engine: EngineSettings
    sampling: Sampling

    @model_validator(mode="after")
    def _prompt_has_its_placeholders(self) -> Self:
        for name in ("{question}", "{thinking}"):
            if name not in self.prompt:
                raise ValueError(f"prompt lacks the placeholder {name}")
        return self


class Efficiency(Section):
    """Answers after all, part or a summary of a trajectory's thinking, and without any (fig11)."""

    models: list[str] = Field(min_length=1, description="answer after their own trajectories; figures take the first")
    benchmarks: list[str] = Field(min_length=1)
    n: int = Field(gt=0, description="trajectories of a question, and the k of Avg@k and Pass@k")
    budgets: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="thinking tokens after which an answer is forced"
    )
    summaries: int = Field(gt=0, description="of each trajectory")
    summariser: Literal["program"] | Summariser = Field(
        description="program: drops the search and keeps what it found; generated questions only"
    )
    end_of_thinking: str = Field(min_length=1, description="closes the thinking where the model did not")
    answer_tokens: int = Field(gt=0, description="at most, of a forced answer")
    batch_size: int = Field(gt=0, description="rows decoded at once")
    threads: int = Field(gt=0)

    @model_validator(mode="after")
    def _budgets_rise(self) -> Self:
        if any(one >= other for one, other in pairwise(self.budgets)):
            raise ValueError(f"budgets = {self.budgets} must rise")
        return self
