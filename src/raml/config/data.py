"""Sections on where questions and trajectories come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raml.config.section import Section

Style = Literal["short", "long"]
FamilyName = Literal["rows", "rows_top", "rows_sort", "path", "path_back", "number_sorting"]
Level = Annotated[int, Field(ge=1, le=3)]
BenchmarkKind = Literal["in_domain", "in_domain_hard", "within_domain", "other_domain"]


class QuestionSet(Section):
    """`n` questions of one family, spread evenly over its difficulty `levels`."""

    family: FamilyName
    levels: list[Level] = Field(min_length=1)
    n: int = Field(gt=0)


class Benchmark(QuestionSet):
    """A held-out question set and how far it lies from the training questions."""

    kind: BenchmarkKind


class Questions(Section):
    """Train split, development split (for choosing tasks) and benchmarks; all disjoint."""

    train: list[QuestionSet] = Field(min_length=1)
    development: list[QuestionSet] = Field(min_length=1)
    benchmarks: dict[str, Benchmark] = Field(min_length=1)


class Dataset(Section):
    """Published questions: on the Hugging Face Hub, or a folder, JSONL or Parquet file with the same columns."""

    dataset: str = Field(min_length=1, description="its name on the Hub, or a path")
    revision: str = Field(min_length=1, description="a commit, tag or branch; of a path unused")
    subset: str | None = Field(default=None, min_length=1, description="where a data set has several")
    split: str = Field(min_length=1)
    prompt: str = Field(min_length=1, description="the column with the question")
    answer: str = Field(min_length=1, description="the column with the gold answer")
    only: dict[str, str | int] = Field(default={}, description="columns and the value that kept rows have")
    domain: str = Field(min_length=1)


class PublishedBenchmark(Dataset):
    """A held-out data set and how far it lies from the training questions."""

    kind: BenchmarkKind
    n: int = Field(gt=0, description="questions that it has, for `raml plan`")


class Published(Section):
    """Questions that are not generated but read from the hub."""

    train: Dataset
    n: int = Field(gt=0, description="training questions that trajectories are written for")
    benchmarks: dict[str, PublishedBenchmark] = Field(min_length=1)


class HubModel(Section):
    """A published model: on the Hugging Face Hub, or a folder."""

    model: str = Field(min_length=1, description="its name on the Hub, or a path")
    revision: str = Field(min_length=1, description="a commit, tag or branch; of a path unused")


class Oracle(Section):
    """Programs that write correct and deliberately wrong trajectories (short and long style)."""

    variants_per_question: int = Field(gt=0, description="distinct solutions kept per question")
    slip_rate: float = Field(ge=0, le=1, description="share of steps that first go wrong, then `Wait`")
    check_rate: float = Field(ge=0, le=1, description="share of long trajectories that end in a self-check")


class Sampling(Section):
    """How a model writes trajectories."""

    temperature: float = Field(ge=0, description="0 is greedy")
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0, description="0 keeps all tokens")
    max_tokens: int = Field(gt=0)
    batch_size: int = Field(gt=0, description="rows decoded at once")
    threads: int = Field(gt=0)


class EngineSettings(Section):
    """What samples from models."""

    name: Literal["torch", "vllm", "server"] = Field(
        description="the torch sampler, vLLM in the job's process, or an OpenAI-compatible server"
    )
    dtype: Literal["float32", "bfloat16"] = Field(description="of weights and arithmetic")
    tensor_parallel: int = Field(default=1, gt=0, description="GPUs that a model is split over, by vLLM")
    url: str | None = Field(default=None, description="of a server, up to and without `/v1`")
    concurrency: int = Field(default=16, gt=0, description="requests that a server has at once")

    @model_validator(mode="after")
    def _fits_the_engine(self) -> Self:
        if (self.url is not None) != (self.name == "server"):
            raise ValueError("a server has a url, and no other engine has one")
        if self.tensor_parallel > 1 and self.name != "vllm":
            raise ValueError(f"tensor_parallel = {self.tensor_parallel} is for vllm; the engine is {self.name}")
        return self


class CommunityModel(HubModel):
    """A reasoning model that others have trained (fig4), and on what."""

    engine: EngineSettings
    training: Literal["on_policy", "off_policy"]
    questions: int = Field(gt=0, description="size of its training set")


class Writer(HubModel):
    """A published model that writes training trajectories, and how."""

    engine: EngineSettings
    sampling: Sampling
    rollouts: int = Field(gt=0, description="a question")
    jobs: int = Field(default=1, gt=0, description="that share the questions, each with GPUs of its own")
