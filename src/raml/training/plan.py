"""What a scale's training and evaluation will cost, before anyone pays for it: steps, tokens, hours, memory.

Lengths are upper bounds, since nobody knows yet how long completions get: prompts of `max_prompt_tokens` and
completions of `max_tokens`, or means that the caller expects. Hours are operations by the devices' speed times the
share of it that training reaches; writing completions reaches less (`WRITING`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raml.config import DPO, GRPO, SFT, Annealing, BenchmarkKind, Device, Hardware, Scale, Section
from raml.errors import ConfigError
from raml.runs import TRUNK, Run, Technique, batches, sampled_together
from raml.training.costs import Load, forward_flops, training_flops
from raml.training.memory import parameters
from raml.training.split import split_batch

# Share of training's speed that writing reaches. vLLM: reading the weights and 8,000 tokens of keys and values of 64
# sequences takes an A100 some 23 ms a token, 14% of its peak for a 7B model, where training reaches 40%. The torch
# sampler: measured on the micro model (`make bench`).
WRITING = {"vllm": 1 / 3, "torch": 0.9}
NOTHING = Load(0, 0, 0, 0)


class Planned(Section):
    """One model: what its training takes, of one seed. Pretraining counts tokens alone, in batches of tokens."""

    model: str
    technique: Technique
    steps: int
    batch_size: int | None  # sequences (pairs, completions) an optimiser step
    rows_at_once: int | None  # of one device in one pass,
    accumulation: int | None  # passes of it an optimiser step
    sequences: int | None  # trained on, in all
    trained_tokens: int
    written_tokens: int  # by GRPO
    training_flops: float  # reference and old log-probabilities included
    writing_flops: float
    memory_gb: float | None  # of each device, at the peak
    device_hours: float


class Evaluated(Section):
    """Models that are sampled from together, of one seed."""

    table: str
    models: int
    completions: int
    read_tokens: int  # prompts, with what follows the question in them
    written_tokens: int
    reading_flops: float
    writing_flops: float
    device_hours: float


class Plan(Section):
    """All of it; hours and operations are of one seed, `total_device_hours` of all."""

    scale: str
    seeds: int
    parameters: int
    hardware: Hardware
    device: Device
    prompt_tokens: int | None  # expected on average; null: as many as are allowed
    completion_tokens: int | None
    runs: list[Planned]
    evaluation: list[Evaluated]
    training_device_hours: float
    evaluation_device_hours: float
    total_device_hours: float
    total_hours: float  # with all devices at work


@dataclass(frozen=True)
class Lengths:
    """Mean lengths in tokens that are expected; None: as long as they may be. What is longer than allowed is cut."""

    prompt: int | None = None
    completion: int | None = None

    def of(self, prompt: int, completion: int) -> tuple[int, int]:
        """Of a sequence of at most `prompt` and `completion` tokens."""
        return min(self.prompt or prompt, prompt), min(self.completion or completion, completion)

    def row(self, prompt: int, completion: int) -> Load:
        """One such sequence."""
        return Load.of([self.of(prompt, completion)])


LONGEST = Lengths()


@dataclass(frozen=True)
class _Work:
    """What a run works on: sequences trained on, those of which log-probabilities are taken, those written."""

    steps: int
    batch_size: int
    trained: Load
    read: Load = NOTHING
    written: Load = NOTHING


def plan(scale: Scale, lengths: Lengths = LONGEST) -> Plan:
    """The plan of a scale; memory is reckoned with the longest sequences whatever `lengths` says.

    Raises:
        ConfigError: a batch cannot be shared among the processes, or not one sequence fits a device,
            or a style is trained that nobody writes.
    """
    runs = [_planned(run, batch.technique, scale, lengths) for batch in batches(scale) for run in batch.runs]
    if scale.pretraining is not None:
        pretraining = scale.pretraining
        runs.insert(0, _pretrained(TRUNK, pretraining.drill_steps + pretraining.steps, scale))
    evaluation = _evaluation(scale, lengths)
    trained, evaluated = sum(run.device_hours for run in runs), sum(table.device_hours for table in evaluation)
    total = len(scale.seeds) * (trained + evaluated)
    return Plan(
        scale=scale.scale,
        seeds=len(scale.seeds),
        parameters=parameters(scale.architecture),
        hardware=scale.hardware,
        device=scale.device,
        prompt_tokens=lengths.prompt,
        completion_tokens=lengths.completion,
        runs=runs,
        evaluation=evaluation,
        training_device_hours=trained,
        evaluation_device_hours=evaluated,
        total_device_hours=total,
        total_hours=total / scale.hardware.processes,
    )


def _planned(run: Run, technique: Technique, scale: Scale, lengths: Lengths) -> Planned:
    settings = run.settings
    if isinstance(settings, Annealing):
        return _pretrained(run.model, settings.steps, scale)
    shape, hardware = scale.architecture, scale.hardware
    work = _work(run.model, settings, scale, lengths)
    try:
        split = split_batch(shape, settings, hardware)
    except ConfigError as error:
        raise ConfigError(f"{run.model}: {error}") from None
    training = training_flops(
        shape, work.trained, lora=settings.lora, checkpointing=hardware.gradient_checkpointing
    ) + forward_flops(shape, work.read)
    writing = forward_flops(shape, work.written)
    return Planned(
        model=run.model,
        technique=technique,
        steps=work.steps,
        batch_size=work.batch_size,
        rows_at_once=split.at_once,
        accumulation=split.passes,
        sequences=work.trained.rows,
        trained_tokens=work.trained.tokens,
        written_tokens=work.written.scored,
        training_flops=training,
        writing_flops=writing,
        memory_gb=split.peak.total / 1e9,
        device_hours=_device_hours(scale, training, writing),
    )


def _pretrained(model: str, steps: int, scale: Scale) -> Planned:
    """Pretraining, documents of half the context each."""
    assert scale.pretraining is not None
    length = scale.architecture.context // 2
    documents = steps * scale.pretraining.batch_tokens // length
    flops = training_flops(scale.architecture, Load.of([(0, length)]) * documents)
    return Planned(
        model=model, technique="anneal", steps=steps, batch_size=None, rows_at_once=None, accumulation=None,
        sequences=None, trained_tokens=steps * scale.pretraining.batch_tokens, written_tokens=0,
        training_flops=flops, writing_flops=0.0, memory_gb=None,
        device_hours=_device_hours(scale, flops, 0.0),
    )  # fmt: skip


def _work(model: str, settings: SFT | DPO | GRPO, scale: Scale, lengths: Lengths) -> _Work:
    row = lengths.row(settings.max_prompt_tokens, settings.max_tokens)
    questions, size = _training_questions(scale), settings.batch_size
    if isinstance(settings, SFT):
        exposures = settings.exposures_per_question
        steps = questions * (exposures or _written_for_a_question(scale, model)) // size
        return _Work(steps, size, trained=row * (steps * size))
    if isinstance(settings, DPO):
        steps = questions * settings.pairs_per_question // size
        trained = row * (2 * steps * size)
        return _Work(steps, size, trained, read=trained)
    kept = size // settings.group_size * settings.update_trajectories
    written = row * (size * (settings.steps // settings.iterations))
    # Log-probabilities of what was written: by the policy before its update where that is not the one that is
    # updated, and by the reference.
    readings = int(settings.iterations > 1) + int(settings.kl > 0)
    return _Work(
        settings.steps, size,
        trained=row * (kept * settings.steps),
        read=written * readings,
        written=written,
    )  # fmt: skip


def _training_questions(scale: Scale) -> int:
    if scale.published is not None:
        return scale.published.n
    assert scale.questions is not None
    return sum(part.n for part in scale.questions.train)


def _written_for_a_question(scale: Scale, model: str) -> int:
    """Trajectories of a question, all of them correct at best."""
    if scale.writers is not None:
        style = "short" if model.startswith("sft_short") else "long"
        if style not in scale.writers:
            raise ConfigError(f"scale {scale.scale}: `writers` has no {style!r}, whose trajectories sft.{style} needs")
        return scale.writers[style].rollouts
    assert scale.oracle is not None
    return scale.oracle.variants_per_question


def _evaluation(scale: Scale, lengths: Lengths) -> list[Evaluated]:
    sweeps = {table: len(models) for table, models in sampled_together(scale).items()}
    return [
        _evaluated(scale, "main models", len(scale.models), scale.evaluation.n, None, lengths),
        *(_evaluated(scale, table, n, scale.sweeps.n, scale.sweeps.kinds, lengths) for table, n in sweeps.items()),
        *_efficiency(scale, lengths),
    ]


def _evaluated(
    scale: Scale,
    table: str,
    models: int,
    n: int,
    kinds: Sequence[BenchmarkKind] | None,
    lengths: Lengths,
) -> Evaluated:
    """`n` samples a question of each of `models`, on the benchmarks of `kinds` (None: all)."""
    on = [name for name, kind in scale.benchmarks.items() if kinds is None or kind in kinds]
    sequence = lengths.of(scale.grpo.max_prompt_tokens, scale.sampling.max_tokens)
    return _sampled(scale, table, models, [sequence], _asked(scale, on) * n * models)


def _efficiency(scale: Scale, lengths: Lengths) -> list[Evaluated]:
    """Figure 11: answers after what is kept of trajectories of mean length, and the summaries of a model.

    A budget that such a trajectory comes to its answer within costs nothing. A summary is as long as it may be, a
    program's as the trajectory; the model that summarises is taken to be as large as the base model.
    """
    settings, model = scale.efficiency, scale.efficiency.summariser
    prompt, thinking = lengths.of(scale.grpo.max_prompt_tokens, scale.sampling.max_tokens)
    summary = thinking if model == "program" else min(thinking, model.sampling.max_tokens)
    answers = [
        *((prompt + budget, settings.answer_tokens) for budget in settings.budgets if budget < thinking),
        (prompt, thinking),  # without thinking; the model may write as much as with it
        *[(prompt + summary, settings.answer_tokens)] * (2 * settings.summaries),  # and the last steps, as many tokens
    ]
    trajectories = _asked(scale, settings.benchmarks) * settings.n * len(settings.models)
    made = [_sampled(scale, "figure 11", len(settings.models), answers, trajectories)]
    if model != "program":
        summaries = [(prompt + thinking, summary)] * settings.summaries
        made.append(_sampled(scale, "figure 11, summaries", 1, summaries, trajectories))
    return made


def _asked(scale: Scale, benchmarks: Iterable[str]) -> int:
    source = scale.questions or scale.published
    assert source is not None
    return sum(source.benchmarks[name].n for name in benchmarks)


def _sampled(scale: Scale, table: str, models: int, sequences: Sequence[tuple[int, int]], times: int) -> Evaluated:
    """`times` completions of each of `sequences`, which are lengths of prompt and completion in tokens.

    Prompts are read at the speed of training, as they go through the model whole.
    """
    read = Load.of((0, prompt) for prompt, _ in sequences) * times
    written = Load.of(sequences) * times
    reading = forward_flops(scale.architecture, replace(read, scored=0))
    writing = forward_flops(scale.architecture, written) - reading
    return Evaluated(
        table=table,
        models=models,
        completions=written.rows,
        read_tokens=read.tokens,
        written_tokens=written.scored,
        reading_flops=reading,
        writing_flops=writing,
        device_hours=_device_hours(scale, reading, writing),
    )


def _device_hours(scale: Scale, training: float, writing: float) -> float:
    """Of operations at the speed of training, and of writing token by token."""
    speed = scale.device.tflops * 1e12 * scale.device.utilisation
    return (training + writing / WRITING[scale.hardware.rollouts]) / speed / 3600
