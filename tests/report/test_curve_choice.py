from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raml.evaluation.intervals import Bootstrap
from raml.report.curves import GRID, Curve, choose, read_points, summarise, to_curves
from report_results import curve_rows, write_curves

BOOTSTRAP = Bootstrap(seed=0, resamples=200, confidence=0.95)


def curve(
    question: str, sample: int, *, seed: int = 0, benchmark: str = "", nll: tuple[float, ...] = (4, 2, 0)
) -> Curve:
    length = len(nll) - 1
    return Curve(
        seed=seed,
        question_id=question,
        benchmark=benchmark,
        trajectory_id=f"{question}/m/{sample}",
        correct=True,
        length=length,
        position=np.arange(length + 1, dtype=float),
        nll=np.array(nll, dtype=float),
        token_ids=[None, *range(length)],
    )


def test_curves_are_read_in_order_of_seed_question_and_sample_number(tmp_path: Path) -> None:
    paths = [write_curves(tmp_path / f"{seed}.parquet", curve_rows(seed)) for seed in (1, 0)]
    curves = to_curves(read_points(paths, "sft_long"))
    keys = [(c.seed, c.question_id, int(c.trajectory_id.rsplit("/", 1)[1])) for c in curves]
    assert keys == sorted(keys)
    assert len(curves) == 2 * 6 * 10
    assert all(c.position[0] == 0 and len(c.nll) == c.length + 1 for c in curves)


def test_other_models_and_modes_are_left_out(tmp_path: Path) -> None:
    rows = curve_rows(0)
    other = [row | {"model": "base"} for row in rows] + [row | {"mode": "no_thinking"} for row in rows]
    path = write_curves(tmp_path / "curves.parquet", [*rows, *other])
    assert [len(to_curves(read_points([path], model))) for model in ("sft_long", "base", "sft_short")] == [60, 60, 0]


def test_the_first_four_questions_with_four_curves_are_shown() -> None:
    counts = {"a": 2, "b": 4, "c": 9, "d": 4, "e": 3, "f": 5, "g": 6}
    curves = [curve(question, sample) for question, n in counts.items() for sample in range(n)]
    curves += [curve("a", sample, seed=1) for sample in range(9)]  # a later seed does not count
    panels = choose(curves)
    assert [panel[0].question_id for panel in panels] == ["b", "c", "d", "f"]
    assert [len(panel) for panel in panels] == [4, 4, 4, 4]


def test_benchmarks_take_turns_whatever_their_questions_are_called() -> None:
    names = {"a-1": "x", "a-2": "x", "a-3": "x", "a-4": "y", "b": "z", "c": "z"}
    curves = [curve(question, sample, benchmark=name) for question, name in names.items() for sample in range(4)]
    assert [panel[0].question_id for panel in choose(curves)] == ["a-1", "a-2", "a-4", "b"]


def test_with_few_curves_the_fullest_questions_are_shown() -> None:
    counts = {"a": 1, "b": 2, "c": 4, "d": 3, "e": 3}
    panels = choose([curve(question, sample) for question, n in counts.items() for sample in range(n)])
    assert [(panel[0].question_id, len(panel)) for panel in panels] == [("b", 2), ("c", 4), ("d", 3), ("e", 3)]
    assert choose([]) == []


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 20)), min_size=24, max_size=24))
def test_the_choice_does_not_look_at_the_curves(values: list[tuple[float, ...]]) -> None:
    names = [("abcdef"[index // 4], index % 4) for index in range(24)]
    plain = choose([curve(*name) for name in names])
    shaped = choose([curve(*name, nll=nll) for name, nll in zip(names, values, strict=True)])
    assert [[c.trajectory_id for c in panel] for panel in plain] == [
        [c.trajectory_id for c in panel] for panel in shaped
    ]


def test_the_mean_counts_each_question_once() -> None:
    curves = [curve("a", 0, nll=(8, 4, 0)), *(curve("b", sample, nll=(2, 2, 2)) for sample in range(7))]
    summary = summarise(curves, BOOTSTRAP, "correct")
    assert summary is not None
    np.testing.assert_allclose(summary.mean, ((8 - 8 * GRID) + 2) / 2)
    assert (summary.lower <= summary.mean).all() and (summary.mean <= summary.upper).all()
    assert (summary.trajectories, summary.questions, summary.seeds) == (8, 2, 1)


def test_degenerate_summaries() -> None:
    assert summarise([], BOOTSTRAP, "correct") is None
    one = summarise([curve("a", 0, nll=(3.0,))], BOOTSTRAP, "correct")  # an empty trajectory
    assert one is not None
    for values in (one.mean, one.lower, one.upper):
        np.testing.assert_array_equal(values, np.full(len(GRID), 3.0))
