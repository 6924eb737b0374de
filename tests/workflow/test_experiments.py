"""`dvc exp`: a setting reaches the DAG and reruns what depends on it; a sweep waits in a queue and runs in copies."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from checkout import MINIMAL, Checkout
from versioned import SCALE, run

pytestmark = [pytest.mark.dvc, pytest.mark.timeout(3000)]

WORDS = ("Alternatively", "Hold on", "So")  # in place of "Wait"
TABLE = "results/minimal/tables/claims.json"


@pytest.fixture
def repository(published: Path) -> Path:
    """The finished run under git and DVC, with a name and address for the commits of DVC."""
    for key, value in (("user.name", "a"), ("user.email", "a@example.org")):
        run(published, "git", "config", key, value)
    return published


def jobs(output: str) -> Counter[str]:
    """How often a job of each rule ended, the phases' own left out."""
    ended = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.MULTILINE)
    return Counter(rule for rule in ended if not rule.endswith("_phase"))


def experiments(root: Path) -> dict[str, Any]:
    """Parameters and metrics of each experiment on this commit, by name."""
    states = json.loads(run(root, "dvc", "exp", "show", "--json"))
    (committed,) = [state for state in states if state["rev"] != "workspace"]
    return {experiment["name"]: experiment["revs"][0]["data"] for experiment in committed["experiments"]}


def test_a_sweep_waits_in_the_queue_and_runs_what_depends_on_it(repository: Path) -> None:
    checkout = Checkout(repository)
    expected = checkout.planned(*MINIMAL, "token_roles={reflection: [Alternatively]}")
    assert expected["token_roles"] == expected["fig6"] == 1 and "probe" not in expected

    values = ",".join(f"[{word}]" for word in WORDS)
    queued = run(repository, "dvc", "exp", "run", "--queue", "--set-param", f"{SCALE}:token_roles.reflection={values}")
    assert queued.count("Queued experiment") == len(WORDS)
    assert run(repository, "dvc", "queue", "status").count("Queued") == len(WORDS)
    ran = run(repository, "dvc", "exp", "run", "--run-all")
    assert jobs(ran) == {rule: count * len(WORDS) for rule, count in expected.items()}
    assert run(repository, "git", "status", "--porcelain") == ""
    assert checkout.planned() == {}

    found = experiments(repository)
    swept = {name: data["params"][SCALE]["data"]["token_roles"]["reflection"] for name, data in found.items()}
    assert sorted(swept.values()) == sorted([word] for word in WORDS)
    assert all("fig6" in data["metrics"][TABLE]["data"] for data in found.values())

    name = next(name for name, value in swept.items() if value == [WORDS[1]])
    difference = json.loads(run(repository, "dvc", "params", "diff", "main", name, "--json"))
    assert difference == {SCALE: {"token_roles.reflection": {"old": str(["Wait"]), "new": str([WORDS[1]])}}}
    run(repository, "dvc", "exp", "apply", name)
    assert checkout.planned() == {}
    assert "up to date" in run(repository, "dvc", "status")


def test_a_setting_here_reruns_what_depends_on_it_and_ends_up_to_date(repository: Path) -> None:
    checkout = Checkout(repository)
    expected = checkout.planned(*MINIMAL, "landscape={radius: 0.5}")
    ran = run(repository, "dvc", "exp", "run", "--name", "near", "--set-param", f"{SCALE}:landscape.radius=0.5")
    assert jobs(ran) == expected
    assert checkout.planned() == {}
    assert "up to date" in run(repository, "dvc", "status")
    assert ran.count("didn't change, skipping") == run(repository, "dvc", "repro").count("didn't change, skipping") - 1
    difference = json.loads(run(repository, "dvc", "params", "diff", "--json"))
    assert difference == {SCALE: {"landscape.radius": {"old": 1.0, "new": 0.5, "diff": -0.5}}}
    assert "fig2" in json.loads(run(repository, "dvc", "metrics", "show", "--json"))[""]["data"][TABLE]["data"]
    assert "fig2.verdict" in json.loads(run(repository, "dvc", "metrics", "diff", "--json", "--all"))[TABLE]
    run(repository, "dvc", "plots", "show", "--out", "dvc_plots")
    assert "results/minimal/figures/fig2.svg" in (repository / "dvc_plots" / "index.html").read_text()
    run(repository, "dvc", "plots", "diff", "HEAD", "--out", "dvc_plots")
    assert "workspace" in (repository / "dvc_plots" / "index.html").read_text()
