"""The steps `updates` and `blocks` on the micro tokenizer and a random model: what they follow, and what they write."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import step_tables
from step_tables import ORIGIN, PROBING, TOKENIZER, ids, prompt, sample

from raml.config import Updates
from raml.probing import blocks, updates
from raml.probing.chosen import Chosen
from raml.probing.forced import forced_probe
from raml.probing.implicit import (
    NotFiniteError,
    answer_gradients,
    compare,
    cosine,
    implicit_update,
)
from raml.probing.updates import prefix_positions, real_and_null_prefixes, thinking_tokens
from raml.schemas import BlockResidual, Question, Trajectory, WeightUpdate
from raml.storage import model_hash, read_provenance, read_table, write_table
from raml.trajectories.pretrained import load_pretrained
from tiny_model_folder import tiny_model

UPDATES = Updates(questions=3, positions=3, draws=2, dimensions=[8], prompt_lengths=[2, 5], threads=1)
THINKING = {
    ("rows-1", 0): "4 5 6 8 9 10 11", ("rows-1", 1): "3 2", ("path-1", 0): "7", ("rows-2", 0): "1 2 3",
    ("rows-3", 0): "5 6 7 5", ("rows-4", 0): "9 9 1",
}  # fmt: skip
CORRECT = {("rows-1", 0), ("path-1", 0), ("rows-3", 0), ("rows-4", 0)}


def question_table() -> pl.DataFrame:
    return step_tables.question_table(dict.fromkeys(sorted({name for name, _ in THINKING}), "7 3"))


def sample_table() -> pl.DataFrame:
    return step_tables.sample_table([sample(*key, text, correct=key in CORRECT) for key, text in THINKING.items()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("updates")
    tiny_model(folder / "model", context=48)
    write_table(question_table(), Question, folder / "questions.parquet", ORIGIN)
    write_table(sample_table(), Trajectory, folder / "samples.parquet", ORIGIN)
    return folder


def make(module: Any, folder: Path, out: Path, samples: Path | None = None, questions: Path | None = None) -> Path:
    options = {
        "model": folder / "model", "samples": samples or folder / "samples.parquet",
        "questions": questions or folder / "questions.parquet", "out": out,
    }  # fmt: skip
    job = module.Job(probing=PROBING, updates=UPDATES)
    return step_tables.start(module.main, job, options, inputs=["model", "samples", "questions"])


@pytest.fixture(scope="module")
def table(folder: Path) -> pl.DataFrame:
    return read_table(make(updates, folder, folder / "updates.parquet"), WeightUpdate)


def test_rows_are_of_the_first_correct_and_incorrect_trajectory_of_questions_in_turn(
    table: pl.DataFrame, folder: Path, tmp_path: Path
) -> None:
    found = table.select("trajectory_id", "correct").unique(maintain_order=True).rows()
    assert found == [
        ("rows-1/sft_long/0", True), ("rows-1/sft_long/1", False), ("path-1/sft_long/0", True),
        ("rows-3/sft_long/0", True),
    ]  # fmt: skip
    prefixes = table.filter(trajectory_id="rows-1/sft_long/0")
    assert prefixes["position"].unique().sort().to_list() == [2, 5, 7] and set(prefixes["length"]) == {7}
    assert table.filter(trajectory_id="path-1/sft_long/0")["position"].unique().to_list() == [1]
    assert prefixes.height == 3 * (1 + 2 + 2) * 2 * 2  # both nulls, projections and layers
    assert sorted(prefixes["layer"].unique()) == [0, 1]
    assert sorted(prefixes.filter(source="random")["draw"].unique()) == [0, 1]
    assert read_table(make(updates, folder, tmp_path / "again.parquet"), WeightUpdate).equals(table)
    assert read_provenance(folder / "updates.parquet").model_hash == model_hash(folder / "model")


def test_the_numbers_are_those_of_the_library(table: pl.DataFrame, folder: Path) -> None:
    model, tokenizer = load_pretrained(folder / "model")
    asked = prompt("rows-1")
    probe = forced_probe(tokenizer, "7 3")
    read = ids("4 5 6 8 9")
    update = implicit_update(model, asked, read, probe.marker_ids, probe.answer_ids)
    gradients = answer_gradients(model, asked, probe.marker_ids, probe.answer_ids)["output"]
    rows = table.filter(trajectory_id="rows-1/sft_long/0", source="trajectory", projection="output", position=5).sort(
        "layer"
    )
    assert rows["update_norm"].to_list() == pytest.approx(update.norms(), rel=1e-3)
    assert rows["gradient_norm"].to_list() == pytest.approx([float(g.norm()) for g in gradients], rel=1e-5)
    norms = (rows["update_norm"] ** 2).sum() ** 0.5 * (rows["gradient_norm"] ** 2).sum() ** 0.5
    assert rows["descent"].sum() / norms == pytest.approx(cosine(update, gradients), rel=1e-3, abs=1e-5)
    weights = [float(layer.self_attn.o_proj.weight.detach().norm()) for layer in model.model.layers]
    assert rows["weight_norm"].to_list() == pytest.approx(weights, rel=1e-5)
    compared = compare(model, update, asked, read, probe.marker_ids, probe.answer_ids)
    assert rows["nll"].to_list() == pytest.approx([compared.nll] * 2, abs=1e-5)
    nothing = implicit_update(model, asked, [], probe.marker_ids, probe.answer_ids)
    alone = compare(model, nothing, asked, [], probe.marker_ids, probe.answer_ids).nll
    assert abs(alone - compared.nll) > 1e-3
    assert table.filter(question_id="rows-1")["nll_without"].to_list() == pytest.approx(
        [alone] * table.filter(question_id="rows-1").height, abs=1e-5
    )
    assert table.filter(projection="output")["logit_difference"].max() < 1e-3


def test_nulls_are_permutations_and_draws_from_the_vocabulary_with_seeds_of_their_own() -> None:
    one = Chosen("rows-1", "rows", "7 3", 0, True, [1], list(range(40)))
    prefixes = real_and_null_prefixes(one, [10, 40], [77, 78, 79], 2, seed=0)
    for position in (10, 40):
        here = [prefix for prefix in prefixes if len(prefix.ids) == position]
        assert [(prefix.source, prefix.draw) for prefix in here] == [
            ("trajectory", 0), ("shuffled", 0), ("random", 0), ("shuffled", 1), ("random", 1)
        ]  # fmt: skip
        real, shuffled, drawn, shuffled_again, drawn_again = (prefix.ids for prefix in here)
        assert real == sorted(shuffled) == sorted(shuffled_again) == list(range(position))  # no later tokens
        assert len({tuple(real), tuple(shuffled), tuple(shuffled_again)}) == 3 and drawn != drawn_again
        assert set(drawn) <= {77, 78, 79}
    longest = real_and_null_prefixes(one, [40], [77, 78, 79], 3, seed=0)
    assert longest[:5] == [prefix for prefix in prefixes if len(prefix.ids) == 40]
    assert real_and_null_prefixes(one, [40], [77], 1, seed=1)[1] != longest[1]


@pytest.mark.parametrize(
    ("length", "n", "expected"),
    [(8, 4, [2, 4, 6, 8]), (1, 4, [1]), (2, 4, [1, 2]), (10, 3, [3, 7, 10]), (5, 1, [5])],
)
def test_prefixes_are_evenly_spread_and_end_with_the_whole(length: int, n: int, expected: list[int]) -> None:
    assert prefix_positions(length, n) == expected


def test_random_tokens_come_from_thinking_alone() -> None:
    def words(*benchmarks: str) -> set[str]:
        found = thinking_tokens(sample_table(), question_table(), benchmarks)
        return set(TOKENIZER.convert_ids_to_tokens(found))

    assert words("rows", "path") == {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}
    assert words("path") == {"7"}  # and from that about the probed benchmarks


def test_what_no_change_can_stand_for_is_left_out_and_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long_answer = pl.when(pl.col("id") == "path-1").then(pl.lit("1 2 3 4 5 6 7 8 9 10 11 12")).otherwise("answer")
    write_table(question_table().with_columns(answer=long_answer), Question, tmp_path / "questions.parquet", ORIGIN)

    def overflowing(model: Any, update: Any, prompt: Any, read: list[int], *parts: Any) -> Any:
        if update.projection == "output" and read == ids("5 6 7 5"):
            raise NotFiniteError("overflow")
        return compare(model, update, prompt, read, *parts)

    monkeypatch.setattr(updates, "compare", overflowing)
    out = make(updates, folder, tmp_path / "out.parquet", questions=tmp_path / "questions.parquet")
    kept = read_table(out, WeightUpdate).select("trajectory_id", "projection").unique().sort(pl.all()).rows()
    assert set(kept) == {
        ("rows-1/sft_long/0", "output"), ("rows-1/sft_long/0", "value"), ("rows-1/sft_long/1", "output"),
        ("rows-1/sft_long/1", "value"), ("path-1/sft_long/0", "output"), ("rows-3/sft_long/0", "value"),
    }  # fmt: skip
    assert (
        "left out: 1 that ask more than one value projection of a layer can meet, "
        "1 that overflow under the change of the output projections"
    ) in capsys.readouterr().out


def test_blocks_are_random_ones_and_the_models(folder: Path, tmp_path: Path) -> None:
    table = read_table(make(blocks, folder, tmp_path / "blocks.parquet"), BlockResidual)
    drawn, of_model = table.filter(source="random"), table.filter(source="sft_long")
    assert drawn.height == 2 * 10 * 4 and set(drawn["prompt_length"]) == {2, 5} and set(drawn["dimension"]) == {8}
    assert drawn.filter(construction="exact")["relative_error"].max() < 1e-10
    assert drawn.filter(construction="paper")["relative_error"].n_unique() == 20
    assert drawn.filter(construction="none")["relative_norm"].max() == 0
    assert of_model["question_id"].unique().sort().to_list() == ["path-1", "rows-1", "rows-3"]
    assert of_model.height == 3 * 2 * 4 and set(of_model["dimension"]) == {32}
    assert of_model.filter(construction="exact")["relative_error"].max() < 1e-5


@pytest.mark.parametrize("module", [updates, blocks])
def test_without_a_correct_trajectory_nothing_of_the_model_is_measured(
    module: Any, folder: Path, tmp_path: Path
) -> None:
    samples = sample_table().with_columns(correct=False)
    write_table(samples, Trajectory, tmp_path / "samples.parquet", ORIGIN)
    out = make(module, folder, tmp_path / "out.parquet", tmp_path / "samples.parquet")
    assert pl.read_parquet(out).filter(pl.lit(module is updates) | (pl.col("layer") < 0)).is_empty()
