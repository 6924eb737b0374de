"""The whole DAG on the minimal configuration: it builds everything, twice the same, and reruns no more than it must."""

from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Built, Checkout
from pydantic import TypeAdapter

from raml.claims.result import ClaimResult
from raml.storage import read_provenance

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(900)]

SHOWN = {"build_report": 1, "crate": 1}
END = {"quantities": 1, "decide": 1, "draw": 1, "draw_raw": 1, "environment": 1, **SHOWN}  # they have the whole scale
PROBED = {"probe": 2, "token_roles": 1, "landscape": 1, "weight_updates": 2, "outer_loss": 1, "report_trajectories": 1}
RETRAINED = {"models": 1, "training_log": 1, "score": 1, "outer_loss": 1, **END}
RESAMPLED = {"sample_sft": 1, "sample_policies": 1, "sample_sweep": 3, "efficiency": 1}
FROM_SFT_LONG = {
    "train_sft_long": 1, "train_trajectories_long": 1, "train_dpo": 1, "train_sft_grpo": 1, "train_regimes_sft": 1,
    "train_regimes_grpo": 1,
}  # fmt: skip
GRPO = {"train_zero_grpo": 1, "train_sft_grpo": 1, "train_regimes_grpo": 1}
TRAINED = {
    "pretrain": 1, "train_base": 1, "train_regimes_base": 1, "train_sft_short": 1, "train_trajectories_short": 1,
    "train_zero_grpo": 1, **FROM_SFT_LONG,
}  # fmt: skip
WRITTEN = {"write_oracles": 1, "write_held_out": 1}


def test_the_whole_dag_builds_every_artifact(built: Built) -> None:
    assert built.ran.returncode == 0, built.ran.stderr
    results = built.checkout.root / "results" / "minimal"
    found = {str(path.relative_to(results)).removesuffix(".parquet"): path for path in results.rglob("*.parquet")}
    assert found.keys() >= {
        *(f"questions/{name}" for name in ("train", "development", "benchmarks")),
        *(f"trajectories/oracle_{style}" for style in ("short", "long", "wrong")),
        *(f"evaluations/{name}" for name in ("evaluations", "samples/seed0/sft_long", "sweeps/seed0/regimes")),
        *(f"probes/seed0/{name}" for name in ("sft_long/curves", "base/curves", "roles", "landscape", "updates")),
        *("probes/seed0/blocks", "probes/seed0/outer", "evaluations/efficiency/seed0"),
        *("tables/metrics", "tables/training"),
    }
    assert {read_provenance(path).scale for path in found.values()} == {"minimal"}
    claims = TypeAdapter(list[ClaimResult]).validate_json((results / "claims.json").read_bytes())
    assert {"fig3", "fig16"} <= {claim.id for claim in claims}
    for page in ("index", "fig3", "tab2", "trajectories", "provenance"):
        assert "<html" in (results / "report" / f"{page}.html").read_text()
    assert (results / "models" / "seed0" / "sft_short" / "model.safetensors").is_file()
    assert not [path for path in results.rglob("*") if path.name.endswith(".tmp")]


def test_the_whole_dag_takes_under_four_minutes_on_two_cores(built: Built) -> None:
    assert built.cpu_seconds < 2 * 240, f"{built.cpu_seconds:.0f} CPU seconds, {built.seconds:.0f} s"


def test_a_second_run_has_nothing_to_do(built: Built) -> None:
    before = built.checkout.artifacts()
    again = built.checkout.run()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert built.checkout.artifacts() == before


@pytest.mark.dag
@pytest.mark.timeout(1800)
def test_two_runs_in_two_folders_are_the_same_bytes(built: Built, new_checkout: Callable[[], Checkout]) -> None:
    other = new_checkout()
    ran = other.run()
    assert ran.returncode == 0, ran.stderr
    one, two = built.checkout.artifacts(), other.artifacts()
    assert one.keys() == two.keys()
    assert [path for path in one if one[path] != two[path]] == []


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            'sft={"long": {"learning_rate": 0.002}}',
            {**PROBED, **RETRAINED, **FROM_SFT_LONG, **RESAMPLED, "probe": 1},
        ),
        ('grpo={"learning_rate": 0.002}', {**RETRAINED, **GRPO, "sample_policies": 1, "sample_sweep": 2}),
        (
            'sweeps={"update_trajectories": [4]}',
            {**RETRAINED, "train_zero_grpo": 1, "sample_policies": 1, "sample_sweep": 1},
        ),
        ('probing={"trajectories_per_question": 1}', {**PROBED, "write_held_out": 1, **END}),
        ('landscape={"size": 7}', {"landscape": 1, **END}),
        ('updates={"draws": 2}', {"weight_updates": 2, **END}),
        ('efficiency={"summaries": 1}', {"efficiency": 1, **END}),
        ('evaluation={"confidence": 0.9}', END),
        (
            'device={"utilisation": 0.9, "tflops": 1.0}',
            {rule: jobs for rule, jobs in END.items() if rule != "quantities"},
        ),
        (
            'oracle={"check_rate": 0.5}',
            {**WRITTEN, **TRAINED, "sample_base": 1, **RESAMPLED, **PROBED, **RETRAINED},
        ),
    ],
    ids=lambda value: value.split("=")[0] if isinstance(value, str) else "",
)
def test_a_changed_parameter_reruns_exactly_what_depends_on_it(
    built: Built, override: str, expected: dict[str, int]
) -> None:
    assert built.checkout.planned("--config", "scale=minimal", override) == expected


def test_an_edited_function_reruns_exactly_what_imports_it(copy_of_built: Checkout) -> None:
    append(copy_of_built, "src/raml/probing/roles.py", "\n\ndef unused() -> int:\n    return 1\n")
    assert copy_of_built.planned() == {"token_roles": 1, "report_trajectories": 1, **END}


def test_an_edited_comment_and_touched_files_rerun_nothing(copy_of_built: Checkout) -> None:
    for path in (copy_of_built.root / "results").rglob("*.*"):
        path.touch()
    for path in (copy_of_built.root / "src").rglob("*.py"):
        append(copy_of_built, str(path.relative_to(copy_of_built.root)), "\n# One more remark.\n")
    assert copy_of_built.planned() == {}


def test_an_edited_template_rebuilds_the_page(copy_of_built: Checkout) -> None:
    append(copy_of_built, "src/raml/report/templates/header.html.j2", "<!-- -->\n")
    assert copy_of_built.planned() == {**SHOWN, "report_trajectories": 1}


def test_snakemake_looks_for_jobs_to_start_when_one_has_ended(copy_of_built: Checkout) -> None:
    probes = list((copy_of_built.root / "results/minimal/probes/seed0").glob("*.parquet"))
    for path in probes:
        path.unlink()
    ran = copy_of_built.run("--verbose", *(str(path.relative_to(copy_of_built.root)) for path in probes))
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout + ran.stderr
    assert 2 < said.count("Ready jobs: ") <= said.count("Finished jobid: ") == len(probes)  # more wait than cores


def test_snakemakes_own_report_shows_the_exhibits_with_captions(copy_of_built: Checkout) -> None:
    ran = copy_of_built.run("--report", "report.html")
    assert ran.returncode == 0, ran.stderr
    page = (copy_of_built.root / "report.html").read_text()
    figures = {path.name for path in (copy_of_built.root / "results/minimal/figures").glob("*.svg")}
    for name in figures - {"forest.svg", "forest-narrow.svg"}:  # which the page draws for itself
        assert f"figures/{name}" in page
    assert page.count("as measured at the scale minimal") >= len(figures) - 2 and "Every claim of the paper" in page


def append(checkout: Checkout, name: str, text: str) -> None:
    path = Path(checkout.root, name)
    path.write_text(path.read_text() + text)
