"""Sections on where questions and trajectories come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from raml.config.section import Section

Style = Literal["short", "long"]
FamilyName = Literal[
    "rows", "rows_top", "rows_sort", "path", "path_back", "number_sorting",
    "chain_sum", "leg_counting", "word_problem", "spell_backward",
]  # fmt: skip
Level = Annotated[int, Field(ge=1, le=3)]
BenchmarkKind = Literal["in_domain", "in_domain_hard", "within_domain", "other_domain"]


def _with_places(template: str, *places: str) -> str:
    for place in places:
        if place not in template:
            raise ValueError(f"it must hold {place}")
    return template


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


class CodeColumns(Section):
    """Columns of a data set of programming questions in the schema of LiveCodeBench, beside question and answer."""

    public: str = Field(min_length=1, description="the column with the public tests; the answer's has the private ones")
    starter: str = Field(
        min_length=1, description="the column with the code to be completed, empty where there is none"
    )
    function: str = Field(min_length=1, description="the column with the name of the function that tests call, if any")
    starter_template: str = Field(description="what a model is asked where there is code to be completed")

    @field_validator("starter_template")
    @classmethod
    def _has_places(cls, template: str) -> str:
        return _with_places(template, "{question}", "{starter}")


class HubDataset(Section):
    """A published data set: on the Hugging Face Hub, or a folder, JSON, JSONL or Parquet file with the same columns.

    A column may be the way to a part of one: `1.ground_truth.value` is of column `1` the value of the value; numbers
    count the items of lists, and text on the way is read as JSON.
    """

    dataset: str = Field(min_length=1, description="its name on the Hub, or a path")
    revision: str = Field(min_length=1, description="a commit, tag or branch; of a path unused")
    subset: str | None = Field(default=None, min_length=1, description="where a data set has several")
    files: list[str] = Field(default=[], description="JSONL files of the data set, where it has no list of its own")
    split: str = Field(min_length=1)


class Dataset(HubDataset):
    """Published questions."""

    prompt: str = Field(min_length=1, description="the column with the question")
    answer: str = Field(min_length=1, description="the column with the gold answer")
    only: dict[str, str | int] = Field(default={}, description="columns and the value that kept rows have")
    domain: str = Field(min_length=1)
    answer_type: Literal["math", "choice", "code"] = "math"
    incorrect: list[str] = Field(
        default=[], description="columns with wrong answers, to be shuffled with the right one"
    )
    code: CodeColumns | None = None
    template: str | None = Field(
        default=None,
        description="what a model is asked: {question}, and {choices} where there are some, in an instruction; "
        "null: the question and below it raml.answers.format.INSTRUCTION",
    )

    @field_validator("template")
    @classmethod
    def _has_places(cls, template: str | None) -> str | None:
        return None if template is None else _with_places(template, "{question}")

    @model_validator(mode="after")
    def _answer_is_of_its_type(self) -> Self:
        if self.incorrect and self.answer_type != "choice":
            raise ValueError(f"incorrect answers belong to answer_type: choice, not to {self.answer_type!r}")
        if self.incorrect and "{choices}" not in (self.template or ""):
            raise ValueError("template must hold {choices}, where incorrect answers are shuffled with the right one")
        if len(self.incorrect) > 9:
            raise ValueError(f"incorrect names {len(self.incorrect)} columns; at most 9, as letters go from A to J")
        if (self.code is None) != (self.answer_type != "code"):
            raise ValueError("answer_type: code and the columns of `code` go together")
        if self.answer_type == "code" and self.template is None:
            raise ValueError("answer_type: code needs a template, which asks for a program")
        return self


class TrainingDataset(Dataset):
    """The training questions. Cleaned by our filters, or by others before us."""

    cleaning: bool = Field(
        default=False, description="the paper's cleaning of Open Reasoner Zero; false: what others left"
    )


class PublishedBenchmark(Dataset):
    """A held-out data set and how far it lies from the training questions."""

    kind: BenchmarkKind
    n: int = Field(gt=0, description="questions that it has, for `raml plan`")


class Published(Section):
    """Questions that are not generated but read from the hub."""

    train: TrainingDataset
    n: int = Field(gt=0, description="training questions that trajectories are written for")
    benchmarks: dict[str, PublishedBenchmark] = Field(min_length=1)


class HubModel(Section):
    """A published model: on the Hugging Face Hub, or a folder."""

    model: str = Field(min_length=1, description="its name on the Hub, or a path")
    revision: str = Field(min_length=1, description="a commit, tag or branch; of a path unused")


class Base(HubModel):
    """A published model as a base for training."""

    dtype: Literal["saved", "float32"] = Field(
        default="saved", description="of the copy that is kept, which the probes compute in; saved: as it was published"
    )


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
    url: str | None = Field(
        default=None, description="of a server, up to and without `/v1`; a key that it asks for: VLLM_API_KEY"
    )
    concurrency: int = Field(default=16, gt=0, description="requests that a server has at once")

    @model_validator(mode="after")
    def _fits_the_engine(self) -> Self:
        if (self.url is not None) != (self.name == "server"):
            raise ValueError("a server has a url, and no other engine has one")
        if "@" in (self.url or "").partition("://")[2].partition("/")[0]:
            raise ValueError(
                "the url holds a user or a password, which results would show; put the key in VLLM_API_KEY"
            )
        if self.tensor_parallel > 1 and self.name != "vllm":
            raise ValueError(f"tensor_parallel = {self.tensor_parallel} is for vllm; the engine is {self.name}")
        return self


class CommunityModel(HubModel):
    """A reasoning model that others have trained (fig4), and on what."""

    engine: EngineSettings
    training: Literal["on_policy", "off_policy"]
    questions: int = Field(gt=0, description="size of its training set")


class Rollouts(HubDataset):
    """Published trajectories of the training questions, the texts of a question in a row."""

    prompt: str = Field(min_length=1, description="the column with the question")
    completions: str = Field(min_length=1, description="the column with the list of texts")
    labels: str = Field(min_length=1, description="the column with the list of flags, whether each text is right")


class Writer(HubModel):
    """A published model that writes training trajectories, and how."""

    engine: EngineSettings
    sampling: Sampling
    rollouts: int = Field(gt=0, description="a question")
    published_rollouts: Rollouts | None = Field(
        default=None, description="read in place of being sampled, but for the benchmark questions"
    )
    jobs: int = Field(default=1, gt=0, description="that share the questions, each with GPUs of its own")
