"""docs/add-claim.md, followed to the letter: its snippets are what is used here."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from golden import cut
from raml.claims.decide import decide
from raml.claims.effects import Quantities
from raml.claims.registry import load_registry
from raml.claims.result import ClaimResult
from raml.errors import ConfigError
from raml.evaluation.intervals import Bootstrap
from raml.quantities import curves, table
from raml.quantities.table import QuantityTable, complete
from raml.schemas import ProbeCurve
from raml.storage import read_table

ROOT = cut.ROOT
TEXT = (ROOT / "docs/add-claim.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
FUNCTION, LINE = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
(CALL,) = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def decided(entry: str, quantities: pl.DataFrame, folder: Path) -> ClaimResult:
    """The result of the entry, written at the end of `config/claims.yaml`."""
    path = folder / "claims.yaml"
    path.write_text((ROOT / "config/claims.yaml").read_text() + entry)
    registry = load_registry(path, ROOT / "config/reported.yaml")
    assert registry.claims[-1].id == yaml.safe_load(entry)[0]["id"]
    registry.claims[:] = registry.claims[-1:]
    return decide(registry, Quantities(quantities, Bootstrap(0, 1000, 0.95)), cut.scale())[0]


def test_a_claim_about_a_quantity_that_is_measured_is_one_entry(tmp_path: Path) -> None:
    kept = read_table(cut.EXPECTED / "quantities.parquet", QuantityTable)
    one = decided(ENTRIES[0], kept, tmp_path)
    assert one.verdict == "holds" and one.n == {"questions": 23, "seeds": 1}
    assert one.reason == "NLL at the end (correct trajectories) of SFT long lies below 0.5."
    assert one.artifacts == ["results/micro/probes/seed11/" + f"{model}/curves.parquet" for model in cut.PROBED]


def test_a_claim_about_a_new_quantity_is_one_function_besides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="quantity 'peak/correct' is one that nobody makes"):
        decided(ENTRIES[1], pl.DataFrame(), tmp_path)
    names: dict[str, Any] = dict(vars(curves)) | {"CELL": table.CELL}
    exec(FUNCTION, names)
    for name, one in eval(f"{{{LINE}}}", dict(vars(table))).items():
        monkeypatch.setitem(table.QUANTITIES, name, one)  # type: ignore[arg-type]
    ((tables, make),) = eval(f"[{CALL}]", names)
    assert tables == ("curves",)
    probed = pl.concat(read_table(cut.MICRO / path, ProbeCurve) for path in cut.paths("curves"))
    rows = complete(make(probed), {"rows": "in_domain", "rows_hard": "in_domain_hard", "path": "in_domain"})
    QuantityTable.validate(rows)
    curve = probed.filter(model="sft_long", mode="thinking", trajectory_id=probed["trajectory_id"][0])
    alone = make(curve)["value"].item()
    assert alone == curve["position"][curve["nll"].arg_max() or 0] / curve["length"][0]
    one = decided(ENTRIES[1], rows, tmp_path)
    assert one.verdict in ("holds", "contradicted", "inconclusive") and one.effects[0].estimate is not None
    assert one.reason.startswith("Where the NLL is highest (correct trajectories) of SFT long ")
