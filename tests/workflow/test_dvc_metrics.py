"""`dvc metrics diff` and `dvc plots diff`, by the real DVC, show what `raml compare` shows."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT, copy
from pydantic import TypeAdapter
from versioned import commit, run

from raml.claims.dvc_metrics import numbers
from raml.claims.result import ClaimResult

RESULTS = Path("results/micro")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two states of the committed micro results: a claim, a metric and a log of training differ."""
    for folder in (".dvc", RESULTS):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("dvc.yaml", ".dvc/config"):
        copy(ROOT / file, tmp_path / file)
    for part in ("claims.json", "tables", "figures"):
        copy(ROOT / RESULTS / part, tmp_path / RESULTS / part)
    write_metrics(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    commit(tmp_path, "before")
    path = tmp_path / RESULTS / "claims.json"
    claims = json.loads(path.read_text())
    claims[0] |= {"verdict": "inconclusive"}
    claims[0]["effects"][0] |= {"estimate": 0.5, "interval": [0.25, 0.75]}
    path.write_text(json.dumps(claims))
    metrics = json.loads((tmp_path / RESULTS / "tables/metrics.json").read_text())
    metrics["base"]["rows"]["Pass@8"] = 0.125
    (tmp_path / RESULTS / "tables/metrics.json").write_text(json.dumps(metrics))
    write_metrics(tmp_path)
    return tmp_path


def write_metrics(root: Path) -> None:
    """As the rule `decide` does."""
    results = TypeAdapter(list[ClaimResult]).validate_json((root / RESULTS / "claims.json").read_bytes())
    written = {one.id: numbers(one) for one in results}
    (root / RESULTS / "tables/claims.json").write_text(json.dumps(written))


def test_metrics_are_those_of_raml_compare(repository: Path) -> None:
    found: dict[str, Any] = json.loads(run(repository, "dvc", "metrics", "diff", "--json"))
    assert found["results/micro/tables/metrics.json"]["base.rows.Pass@8"]["new"] == 0.125
    claim = found["results/micro/tables/claims.json"]
    assert {path.split(".")[-1] for path in claim} == {"verdict", "estimate", "lower", "upper"}
    (name,) = {path.split(".effects.")[1].rsplit(".", 1)[0] for path in claim if ".effects." in path}
    code = "from raml.cli import main; main()"
    compared = run(repository, sys.executable, "-c", code, "compare", "HEAD", "--json")
    (change,) = json.loads(compared)["scales"][0]["claims"]
    for when, side in (("old", "before"), ("new", "after")):
        told = change[side]
        assert told["verdict"] == claim["prop2.1.verdict"][when]
        effect = told["effects"][0]
        assert effect["name"] == name
        assert effect["estimate"] == claim[f"prop2.1.effects.{name}.estimate"][when]
        assert effect["interval"] == [claim[f"prop2.1.effects.{name}.{end}"][when] for end in ("lower", "upper")]


def test_plots_of_two_states_stand_side_by_side(repository: Path) -> None:
    path = repository / RESULTS / "tables/training/dpo.csv"
    path.write_text(path.read_text().replace("\n1,", "\n1,9", 1))
    run(repository, "dvc", "plots", "diff", "HEAD", "--out", "plots")
    page = (repository / "plots/index.html").read_text()
    for text in ("loss of DPO", "results/micro/figures/fig3.svg", "HEAD", "workspace"):
        assert text in page
    assert (
        len(list((repository / "plots/static").iterdir()))
        >= 2 * len(list((repository / RESULTS).glob("figures/*.svg"))) - 4
    )


@pytest.mark.parametrize("scale", ["minimal", "micro"])
def test_a_setting_of_dvc_changes_one_key(scale: str, tmp_path: Path) -> None:
    """What `dvc exp run --set-param` does to the file of a scale, in which an alias would carry it to other keys."""
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "scale.yaml"
    shutil.copy(ROOT / "config" / "scales" / f"{scale}.yaml", path)
    expected = yaml.safe_load(path.read_text())
    expected["sft"]["long"]["learning_rate"] = 0.002
    expected["evaluation"]["k"] = 3
    apply_overrides(str(path), ["sft.long.learning_rate=0.002", "evaluation.k=3"])
    assert yaml.safe_load(path.read_text()) == expected
