"""Every model that a scale trains: what it starts from, with which settings, and which exhibit it belongs to.

Names say what was done: `sft_long_m4` saw 4 trajectories a question, `grpo_n2` took its gradient from 2 of each
group, `zero_grpo_step10` is GRPO from the base after 10 steps, and `_p3` stands for a base model that writes long
trajectories in 3% of its documents. Names without such an ending have the settings of the scale's own sections.

Runs that are wanted together share a process (`Batch`), since importing torch costs more than many a run. Not so GRPO
with rollouts by vLLM, of which a process on a GPU can put one engine to sleep only, and never a second one.
"""

from dataclasses import dataclass
from typing import Literal

from raml.config import DPO, GRPO, SFT, Annealing, Scale, Section

Technique = Literal["anneal", "sft", "dpo", "grpo"]
Settings = Annealing | SFT | DPO | GRPO

TRUNK = "trunk"  # what all base models of a seed share


@dataclass(frozen=True)
class Run:
    """One model: its name, the model that it starts from and how it is trained."""

    model: str
    start: str
    settings: Settings

    @property
    def snapshots(self) -> list[str]:
        """Names of the models that it leaves on the way."""
        if not isinstance(self.settings, GRPO):
            return []
        return [snapshot(self.model, step) for step in self.settings.evaluate_at]


@dataclass(frozen=True)
class Batch:
    """Runs of one technique that share a process and, off-policy, their trajectories."""

    name: str
    technique: Technique
    runs: list[Run]


class Series(Section):
    """Models that differ in one number: `models[i]` has `doses[i]` of it."""

    doses: list[float]
    models: list[str]


class Regime(Section):
    """One base model and what was trained from it, with the share of long trajectories in its documents."""

    long_share: float | None  # of a published base nobody knows it
    base: str
    sft: str
    zero_grpo: str
    sft_grpo: str


def batches(scale: Scale) -> list[Batch]:
    """All training of one seed, main models first; the runs of fig9 are with zero-GRPO."""
    found = [*_main(scale), *_trajectory_sweep(scale), *_regime_sweep(scale)]
    if scale.hardware.rollouts == "vllm":
        found = [part for batch in found for part in (_apart(batch) if batch.technique == "grpo" else [batch])]
    return [batch for batch in found if batch.runs]


def _apart(batch: Batch) -> list[Batch]:
    return [Batch(run.model, batch.technique, [run]) for run in batch.runs]


def sampled_together(scale: Scale) -> dict[str, list[str]]:
    """Models of the sweeps by the name of the table that holds their samples; all have runs."""
    snapshots = [name for batch in _main(scale) for run in batch.runs for name in run.snapshots]
    tables = {
        "trajectories": [run.model for batch in _trajectory_sweep(scale) for run in batch.runs],
        "updates": [*(run.model for run in _update_sweep(scale)), *snapshots],
        "regimes": [run.model for batch in _regime_sweep(scale) for run in batch.runs],
    }
    return {name: models for name, models in tables.items() if models}


def series(scale: Scale) -> dict[str, Series]:
    """The models of fig8 and fig9 by dose: `fig8_short`, `fig8_long`, `fig9_step<k>`, `fig9_first` and `fig9_last`."""
    found = {}
    for style, settings in scale.sft.items():
        own = settings.trajectories_per_question
        doses: list[float] = sorted({*scale.sweeps.trajectories_per_question, own})
        names = [f"sft_{style}" if dose == own else f"sft_{style}_m{dose:g}" for dose in doses]
        found[f"fig8_{style}"] = Series(doses=doses, models=names)
    own = scale.grpo.update_trajectories
    updates: list[float] = sorted({*scale.sweeps.update_trajectories, own})
    last = ["zero_grpo" if dose == own else f"grpo_n{dose:g}" for dose in updates]
    for step in scale.grpo.evaluate_at:
        found[f"fig9_step{step}"] = Series(doses=updates, models=[snapshot(name, step) for name in last])
    if scale.grpo.evaluate_at:
        found["fig9_first"] = found[f"fig9_step{scale.grpo.evaluate_at[0]}"]
    found["fig9_last"] = Series(doses=updates, models=last)
    return found


def regimes(scale: Scale) -> list[Regime]:
    """The base models of tab3 and what was trained from each, rarest long style first."""
    found = [
        Regime(
            long_share=share,
            base=f"base{ending}",
            sft=f"{scale.cold_start}{ending}",
            zero_grpo=f"zero_grpo{ending}",
            sft_grpo=f"sft_grpo{ending}",
        )
        for share, ending in _shares(scale).items()
    ]
    return sorted(found, key=lambda regime: regime.long_share or 0.0)


def snapshot(model: str, step: int) -> str:
    """The name of `model` after `step` steps of its training."""
    return f"{model}_step{step}"


def _shares(scale: Scale) -> dict[float | None, str]:
    """Long shares of the base models and the endings of their names; the main one has none."""
    if scale.pretraining is None:
        return {None: ""}
    main = scale.pretraining.annealing.long_share
    further = [share for share in scale.sweeps.long_shares if share != main]
    endings: dict[float | None, str] = {share: f"_p{100 * share:g}".replace(".", "_") for share in further}
    return {main: "", **endings}


def _main(scale: Scale) -> list[Batch]:
    found = []
    if scale.pretraining is not None:
        found.append(Batch("base", "anneal", [Run("base", TRUNK, scale.pretraining.annealing)]))
    for style, settings in scale.sft.items():
        found.append(Batch(f"sft_{style}", "sft", [Run(f"sft_{style}", settings.start, settings)]))
    cold = scale.grpo.model_copy(update={"start": scale.cold_start})
    return [
        *found,
        Batch("dpo", "dpo", [Run("dpo", scale.dpo.start, scale.dpo)]),
        Batch("zero_grpo", "grpo", [Run("zero_grpo", scale.grpo.start, scale.grpo), *_update_sweep(scale)]),
        Batch("sft_grpo", "grpo", [Run("sft_grpo", scale.cold_start, cold)]),
    ]


def _trajectory_sweep(scale: Scale) -> list[Batch]:
    """Fig8: SFT on fewer trajectories a question, the training frequency of each question kept."""
    return [
        Batch(
            f"trajectories_{style}",
            "sft",
            [
                Run(f"sft_{style}_m{m}", settings.start, settings.model_copy(update={"trajectories_per_question": m}))
                for m in scale.sweeps.trajectories_per_question
                if m != settings.trajectories_per_question
            ],
        )
        for style, settings in scale.sft.items()
    ]


def _update_sweep(scale: Scale) -> list[Run]:
    """Fig9: GRPO from the base, the gradient from n of each group."""
    return [
        Run(f"grpo_n{n}", scale.grpo.start, scale.grpo.model_copy(update={"update_trajectories": n}))
        for n in scale.sweeps.update_trajectories
        if n != scale.grpo.update_trajectories
    ]


def _regime_sweep(scale: Scale) -> list[Batch]:
    """Tab3 on further base models, which write long trajectories more or less often; no snapshots."""
    if scale.pretraining is None:
        return []
    annealing = scale.pretraining.annealing
    shares = {share: ending for share, ending in _shares(scale).items() if ending and share is not None}
    tuned = scale.sft[_style(scale.cold_start)]
    grpo = scale.grpo.model_copy(update={"evaluate_at": []})

    def runs(name: str, start: str, settings: SFT | GRPO) -> list[Run]:
        return [
            Run(f"{name}{ending}", f"{start}{ending}", settings.model_copy(update={"start": f"{start}{ending}"}))
            for ending in shares.values()
        ]

    return [
        Batch(
            "regimes_base",
            "anneal",
            [
                Run(f"base{ending}", TRUNK, annealing.model_copy(update={"long_share": share}))
                for share, ending in shares.items()
            ],
        ),
        Batch("regimes_sft", "sft", runs(scale.cold_start, tuned.start, tuned)),
        Batch(
            "regimes_grpo",
            "grpo",
            [*runs("zero_grpo", scale.grpo.start, grpo), *runs("sft_grpo", scale.cold_start, grpo)],
        ),
    ]


def _style(model: str) -> Literal["short", "long"]:
    return "short" if model == "sft_short" else "long"
