"""`config/scales/paper.yaml` holds the settings that the paper prints (its Section 4 and Tables 5 to 7)."""

from pathlib import Path

import pytest
import yaml

from raml.claims.effects import POOLS
from raml.config import Scale, Section, load_scale
from raml.questions.published import DEFAULT_TEMPLATE
from raml.runs import batches, series
from raml.training.memory import parameters

CONFIG = Path(__file__).parents[1] / "config"
REPORTED = yaml.safe_load((CONFIG / "reported.yaml").read_text())
EVALUATION = {"temperature": 1.0, "top_p": 0.8, "top_k": 50, "max_tokens": 16_384}
WRITING = {"temperature": 0.7, "top_p": 1.0, "top_k": 50}
SFT_SETTINGS = {"learning_rate": 1e-5, "batch_size": 256, "max_tokens": 18_432}
GRPO_SETTINGS = {
    "learning_rate": 1e-6, "batch_size": 1024, "group_size": 16, "temperature": 1.0, "max_prompt_tokens": 1024,
    "max_tokens": 16_384,
}  # fmt: skip


@pytest.fixture(scope="module")
def paper() -> Scale:
    return load_scale("paper", folder=CONFIG / "scales")


def holds(section: Section, settings: dict[str, float]) -> bool:
    return all(getattr(section, name) == value for name, value in settings.items())


def test_evaluation_is_the_papers(paper: Scale) -> None:
    assert (paper.evaluation.n, paper.evaluation.k) == (32, 8)
    assert holds(paper.sampling, EVALUATION)


def test_trajectories_are_written_as_in_the_paper(paper: Scale) -> None:
    assert paper.writers is not None and paper.published is not None
    assert paper.published.n == 10_000
    for writer in paper.writers.values():
        assert writer.rollouts == 64
        assert holds(writer.sampling, WRITING)
    # The paper's Table 5 has 8,192 for the first, whose context holds 4,096, and 36,784 for the second.
    assert [writer.sampling.max_tokens for writer in paper.writers.values()] == [3072, 32_768]
    assert paper.sft["short"].max_prompt_tokens + 3072 <= 4096


def test_claims_are_tested_on_the_papers_benchmarks(paper: Scale) -> None:
    chosen = {
        claim["id"]: {name for name, kind in paper.benchmarks.items() if kind in POOLS[claim["all"][-1]["over"]]}
        for claim in yaml.safe_load((CONFIG / "claims.yaml").read_text())["claims"]
        if claim.get("all", [{}])[-1].get("over") in POOLS
    }
    tables = set(REPORTED["table2"]["sft_long"]) - {"source"}
    for claim in ("tab2", "tab3", "fig8", "fig9"):
        assert {name.removesuffix("-en") for name in chosen[claim]} == tables
    named = {name.removesuffix("-fig7").removesuffix("-cn") for name in chosen["fig7"]}
    assert named == set(REPORTED["figure7"]["within_domain"])
    assert chosen["fig7-cross"] == set(REPORTED["figure7"]["cross_domain"])


def test_benchmarks_are_asked_and_judged_by_their_kind_of_answer(paper: Scale) -> None:
    assert paper.published is not None
    types = {name: benchmark.answer_type for name, benchmark in paper.published.benchmarks.items()}
    assert types.pop("GPQA-Diamond") == "choice" and types.pop("LiveCodeBench") == "code"
    assert set(types.values()) == {paper.published.train.answer_type} == {"math"}
    assert paper.published.train.template == DEFAULT_TEMPLATE  # so that what is probed ends as it was trained to
    assert len(paper.published.benchmarks["GPQA-Diamond"].incorrect) == 3


def test_sft_is_the_papers(paper: Scale) -> None:
    for settings in paper.sft.values():
        assert holds(settings, SFT_SETTINGS)
        assert settings.exposures_per_question is None  # one epoch over what was written


def test_grpo_is_the_papers(paper: Scale) -> None:
    assert holds(paper.grpo, GRPO_SETTINGS)
    assert paper.published is not None
    assert paper.grpo.steps == paper.published.n // (paper.grpo.batch_size // paper.grpo.group_size)  # one epoch


def test_sweeps_are_those_of_figures_8_and_9(paper: Scale) -> None:
    found = series(paper)
    assert found["fig8_long"].doses == [*REPORTED["figure8"]["trajectories_per_question"], 64]
    assert found["fig9_last"].doses == REPORTED["figure9"]["update_trajectories"]
    points = [*paper.grpo.evaluate_at, paper.grpo.steps]
    assert len(points) == len(REPORTED["figure9"]["evaluated_at_steps"])
    assert points == [paper.grpo.steps * number // 4 for number in range(1, 5)]
    assert paper.grpo.group_size == REPORTED["figure9"]["rollout_group"]


def test_the_architecture_is_the_base_models(paper: Scale) -> None:
    assert paper.base is not None
    assert paper.base.model == "Qwen/Qwen2.5-7B"
    assert parameters(paper.architecture) == 7_615_616_512


def test_every_run_is_planned_for_what_the_launcher_starts(paper: Scale) -> None:
    launcher = yaml.safe_load((CONFIG / "accelerate" / f"{paper.hardware.launcher}.yaml").read_text())
    assert launcher["distributed_type"] == "FSDP" and paper.hardware.sharded
    assert launcher["num_processes"] == paper.hardware.processes
    assert launcher["mixed_precision"] == paper.hardware.precision
    assert not launcher["fsdp_config"]["fsdp_activation_checkpointing"]  # else layers would be repeated twice
    assert all(run.settings for batch in batches(paper) for run in batch.runs)


def test_efficiency_is_figure_11(paper: Scale) -> None:
    found = paper.efficiency
    assert found.benchmarks == list(REPORTED["figure11"]) and found.n == 16
    assert found.summariser != "program" and found.summariser.prompt.count("{thinking}") == 1
    assert max(found.budgets) < paper.sampling.max_tokens
