import polars as pl

from forced_answers import AFTER, forced_answers
from raml.evaluation.efficiency import way_scores
from raml.schemas import ForcedAnswer

CERTAIN = {"thinking": 1.0, "budget 8": 0.0, "budget 32": 1.0, "no_thinking": 0.0, "summary": 1.0, "control": 0.0}


def test_each_way_has_its_scores_and_tokens() -> None:
    scores = way_scores(forced_answers(CERTAIN, questions=2, seeds=2), 16)
    assert scores.height == 2 * 2 * 2 * len(CERTAIN)
    for way, skill in CERTAIN.items():
        rows = scores.filter(way=way)
        assert set(rows["Avg@16"]) == set(rows["Pass@16"]) == {skill}
        assert set(rows["n"]) == {32 if way in ("summary", "control") else 16}
    assert set(scores.filter(way="summary")["tokens"]) == {12 + AFTER}


def test_leaked_summaries_are_not_answers() -> None:
    answers = forced_answers({"summary": 0.5}, questions=20, leaked=0.6)
    scores = way_scores(answers, 16)
    counted = answers.filter(~pl.col("leaked")).group_by("question_id").agg(pl.len(), pl.col("correct").mean())
    joined = scores.join(counted, on="question_id")
    assert (joined["n"] == joined["len"]).all() and (joined["Avg@16"] - joined["correct"]).abs().max() < 1e-12
    assert set(scores["tokens"]) == {12.0 + AFTER}
    few = scores["n"] < 16
    assert few.any() and not few.all()
    assert scores["Pass@16"].is_null().equals(few.alias("Pass@16"))


def test_a_question_whose_summaries_all_leak_has_no_score() -> None:
    assert way_scores(forced_answers({"summary": 0.5}, questions=3, leaked=1.0), 16).is_empty()
    assert way_scores(ForcedAnswer.create_empty(), 16).is_empty()
