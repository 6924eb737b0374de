"""What jobs ask of the machine: threads and GPUs; and that the launcher's file is an input of training."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Checkout

pytestmark = pytest.mark.workflow

ASKED = "threads={threads} gpu={resources.gpu}"
# What commands show, by file, from which rule on and up to which.
SHOWN = {
    "training.smk": (f"{ASKED} launcher={{input.launcher}}", "", "no further rule"),
    "evaluation.smk": (ASKED, "", "rule score:"),
    "efficiency.smk": (ASKED, "rule efficiency:", "rule fig11:"),
}


@pytest.fixture(scope="module")
def shown(new_checkout: Callable[[], Checkout]) -> Callable[..., dict[str, set[str]]]:
    """A function that dry-runs a checkout whose commands show it, and returns what they show by module."""
    checkout = new_checkout()
    for name, (what, first, end) in SHOWN.items():
        path = Path(checkout.root, "workflow", "rules", name)
        before, middle = path.read_text().split(first, 1) if first else ("", path.read_text())
        shown, rule, tail = middle.partition(end)
        path.write_text(before + first + shown.replace('" > {log} 2>&1"', f'" {what} > {{log}} 2>&1"') + rule + tail)

    def run(*arguments: str) -> dict[str, set[str]]:
        ran = checkout.run("--dry-run", "--printshellcmds", *arguments)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, set[str]] = {}
        for module, asked in re.findall(r"-m raml\.(?!training\.launch )(\S+) .*?(threads=.*?) > ", ran.stdout):
            found.setdefault(module, set()).add(asked.strip())
        return found

    return run


def test_a_job_asks_for_the_threads_of_all_its_processes(shown: Callable[..., dict[str, set[str]]]) -> None:
    found = shown("--config", "scale=minimal", 'hardware={"processes": 2, "launcher": "ddp_cpu"}')
    launched = "threads=2 gpu=0 launcher=config/accelerate/ddp_cpu.yaml"
    assert found["training.sft"] == found["training.dpo"] == found["training.grpo"] == {launched}
    assert found["training.anneal"] == {"threads=1 gpu=0 launcher="}
    assert found["trajectories.sample"] == found["trajectories.efficiency"] == {"threads=1 gpu=0"}


def test_only_sampling_shares_a_node(shown: Callable[..., dict[str, set[str]]]) -> None:
    found = shown("--cores", "128", "--config", "scale=paper")
    assert found["training.grpo"] == {"threads=64 gpu=8 launcher=config/accelerate/fsdp.yaml"}
    assert found["trajectories.sample"] == found["trajectories.efficiency"] == {"threads=8 gpu=1"}
    wide = "efficiency={summariser: {engine: {tensor_parallel: 2}, sampling: {threads: 12}}}"
    split = shown("--cores", "128", "--config", "scale=paper", wide)  # its summariser takes two, one after the other
    assert split["trajectories.efficiency"] == {"threads=12 gpu=2"}
    on_four = shown("--cores", "128", "--resources", "gpu=4", "--config", "scale=paper")
    # a job that wants more takes all there are
    assert on_four["training.grpo"] == {"threads=64 gpu=4 launcher=config/accelerate/fsdp.yaml"}
