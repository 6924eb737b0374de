"""`raml verify` makes a claim again, in a folder of its own, and finds what was changed."""

import json
from pathlib import Path

import pytest
from checkout import Checkout
from test_restore import raml

pytestmark = [pytest.mark.dag, pytest.mark.timeout(1800)]


def test_a_claim_comes_out_again(copy_of_built: Checkout, tmp_path: Path) -> None:
    before = copy_of_built.artifacts()
    told = raml(copy_of_built.root, "verify", "fig11", "--scale", "minimal", "--folder", str(tmp_path / "again"))
    assert "fig11 at scale minimal: identical" in told
    assert copy_of_built.artifacts() == before and copy_of_built.planned() == {}
    results = tmp_path / "again" / "results" / "minimal"
    assert (results / "evaluations" / "efficiency" / "seed0.parquet").is_file()
    assert not (results / "probes").exists()  # other claims' jobs did not run


def test_what_differs_is_found_and_the_rest_taken_as_given(copy_of_built: Checkout) -> None:
    root = copy_of_built.root
    table = root / "results" / "minimal" / "evaluations" / "efficiency" / "seed0.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    told = raml(root, "verify", "fig11", "--scale", "minimal", "--given", "--json", code=3)
    found = json.loads(told[: told.index("\n}") + 2])
    assert found["outcome"] == "within tolerance" and found["differing"] == [
        "results/minimal/evaluations/efficiency/seed0.parquet"
    ]
    assert found["first"]["changed"] == ["the file here, which is not as recorded"]
    (root / "results" / "minimal" / "models" / "seed0" / "sft_long" / "model.safetensors").write_bytes(b"other")
    told = raml(root, "verify", "fig11", "--scale", "minimal", "--given", code=2)
    assert "sft_long/model.safetensors is not as recorded" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fig99",), "has no claim 'fig99'; it has prop2.1"),
        (("sec4.3",), "was not tested at scale minimal"),
        (("fig11", "--folder", "src"), "--folder src lies in this checkout"),
        (("fig11", "--folder", ".."), "--folder .. is not empty"),
    ],
)
def test_bad_input_ends_with_one_line(copy_of_built: Checkout, arguments: tuple[str, ...], message: str) -> None:
    assert message in raml(copy_of_built.root, "verify", *arguments, "--scale", "minimal", code=2)
