"""A scale: everything that defines a run, and what its parts must have to do with each other."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from raml.config.data import (
    Base,
    BenchmarkKind,
    CommunityModel,
    EngineSettings,
    Oracle,
    Published,
    Questions,
    Sampling,
    Style,
    Writer,
)
from raml.config.measuring import Efficiency, Evaluation, Landscape, Probing, Updates
from raml.config.section import Section
from raml.config.training import DPO, GRPO, SFT, Architecture, Device, Hardware, Pretraining, Sweeps


class Scale(Section):
    """Everything that defines a run.

    Questions are generated (`questions`, with `oracle` programs as writers) or published (`published`, with
    models as `writers`); the base model is pretrained from scratch (`pretraining`, on documents that the programs
    write) or published (`base`).
    """

    scale: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    questions: Questions | None = None
    published: Published | None = None
    oracle: Oracle | None = None
    writers: dict[Style, Writer] | None = None
    architecture: Architecture
    pretraining: Pretraining | None = None
    base: Base | None = None
    hardware: Hardware
    device: Device
    sft: dict[Style, SFT] = Field(min_length=1)
    dpo: DPO
    grpo: GRPO = Field(description="from the base model; the same with a cold start begins at `cold_start`")
    cold_start: str
    sweeps: Sweeps
    community: dict[str, CommunityModel] = Field(default={}, description="models of fig4, by the names they go by")
    engine: EngineSettings = Field(description="that samples from the trained models")
    sampling: Sampling
    evaluation: Evaluation
    probing: Probing
    landscape: Landscape
    updates: Updates
    efficiency: Efficiency
    token_roles: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
        min_length=1, description="groups of trajectory tokens by regular expressions that match their whole text"
    )

    @model_validator(mode="after")
    def _sources_are_chosen(self) -> Self:
        for one, other in (("questions", "published"), ("oracle", "writers"), ("pretraining", "base")):
            if (getattr(self, one) is None) == (getattr(self, other) is None):
                raise ValueError(f"a scale has either `{one}` or `{other}`, and not both")
        if (self.questions is None) != (self.oracle is None):
            raise ValueError("`oracle` programs solve generated `questions`; published ones need `writers`")
        if self.pretraining is not None and self.oracle is None:
            raise ValueError("`pretraining` is on what `oracle` programs write; published questions need a `base`")
        return self

    @model_validator(mode="after")
    def _pretrained_from_scratch_is_small(self) -> Self:
        shape = self.architecture
        if self.pretraining is None:
            if self.sweeps.long_shares:
                raise ValueError("sweeps.long_shares needs `pretraining`: a published base model has the share it has")
        elif (shape.hidden_size, shape.kv_heads, shape.tied) != (32 * shape.heads, shape.heads, True):
            raise ValueError(
                f"a pretrained architecture has hidden_size = 32 x heads = {32 * shape.heads} (vLLM serves heads of "
                f"32), kv_heads = heads and tied: true"
            )
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds = {self.seeds} names a seed twice")
        if missing := sorted(set(self.probing.benchmarks) - set(self.benchmarks)):
            raise ValueError(f"probing.benchmarks names {missing}, but the scale has {sorted(self.benchmarks)}")
        if unknown := [name for name in self.probing.models if name not in self.models]:
            raise ValueError(f"probing.models names {unknown}; allowed: {self.models}")
        tuned = [f"sft_{style}" for style in self.sft]
        starts = {f"sft.{style}.start": (run.start, ["base"]) for style, run in self.sft.items()}
        starts |= {
            "dpo.start": (self.dpo.start, ["base", *tuned]),
            "grpo.start": (self.grpo.start, ["base"]),
            "cold_start": (self.cold_start, tuned),
        }
        for key, (start, allowed) in starts.items():
            if start not in allowed:
                raise ValueError(f"{key} = {start!r} is no model to start from; allowed: {allowed}")
        return self

    @model_validator(mode="after")
    def _efficiency_fits(self) -> Self:
        found = self.efficiency
        for key, given, allowed in (
            ("models", found.models, self.models),
            ("benchmarks", found.benchmarks, sorted(self.benchmarks)),
        ):
            if unknown := [name for name in given if name not in allowed]:
                raise ValueError(f"efficiency.{key} names {unknown}; allowed: {allowed}")
            if len(set(given)) != len(given):
                raise ValueError(f"efficiency.{key} = {given} names one twice")
        if found.n > self.evaluation.n:
            raise ValueError(f"efficiency.n = {found.n} must be at most evaluation.n = {self.evaluation.n}")
        if found.summariser == "program" and self.questions is None:
            raise ValueError("efficiency.summariser = program knows generated `questions` only; name a model")
        return self

    @model_validator(mode="after")
    def _sequences_fit_the_model(self) -> Self:
        context = self.architecture.context
        if self.sampling.max_tokens >= context:
            raise ValueError(
                f"sampling.max_tokens = {self.sampling.max_tokens} leaves no room for a prompt "
                f"in architecture.context = {context}"
            )
        trained = {f"sft.{style}": settings for style, settings in self.sft.items()}
        for name, settings in {**trained, "dpo": self.dpo, "grpo": self.grpo}.items():
            if settings.max_prompt_tokens + settings.max_tokens > context:
                raise ValueError(
                    f"{name}.max_prompt_tokens + max_tokens = {settings.max_prompt_tokens} + {settings.max_tokens} "
                    f"must be at most architecture.context = {context}"
                )
        return self

    @model_validator(mode="after")
    def _sweeps_fit(self) -> Self:
        if self.sweeps.n < self.evaluation.k:
            raise ValueError(f"sweeps.n = {self.sweeps.n} must be at least evaluation.k = {self.evaluation.k}")
        if self.pretraining is not None:
            short = self.pretraining.short_share
            if too_large := [share for share in self.sweeps.long_shares if share + short > 1]:
                raise ValueError(
                    f"sweeps.long_shares = {too_large} and pretraining.short_share = {short} must add up to at most 1, "
                    f"or base models would differ in their short share too"
                )
        if too_many := [n for n in self.sweeps.update_trajectories if n > self.grpo.group_size]:
            raise ValueError(
                f"sweeps.update_trajectories = {too_many} exceed the group of grpo.group_size = {self.grpo.group_size}"
            )
        return self

    @property
    def benchmarks(self) -> dict[str, BenchmarkKind]:
        """The benchmarks' names and kinds."""
        source = self.questions or self.published
        assert source is not None
        return {name: benchmark.kind for name, benchmark in source.benchmarks.items()}

    @property
    def engines(self) -> set[str]:
        """Names of the engines that anything is sampled with, GRPO's rollouts apart."""
        settings = [self.engine, *(writer.engine for writer in (self.writers or {}).values())]
        settings += [model.engine for model in self.community.values()]
        if self.efficiency.summariser != "program":
            settings.append(self.efficiency.summariser.engine)
        return {each.name for each in settings}

    @property
    def models(self) -> list[str]:
        """Names of the models that are evaluated on every benchmark, base first; `raml.runs` says how each is made."""
        return ["base", *(f"sft_{style}" for style in self.sft), "dpo", "zero_grpo", "sft_grpo"]
