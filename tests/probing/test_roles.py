"""Token roles: what is matched, what the changes are, and whether the permutation test tells chance from effect."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, trim_mean
from step_tables import PROBING, start
from tokenizers import Tokenizer, decoders, models

from raml.errors import ConfigError, DataError
from raml.probing.roles import (
    LONGEST_PHRASE,
    OTHER,
    SUMMARIES,
    Job,
    assign_roles,
    compile_groups,
    main,
    permutation_p_values,
    summaries,
    token_changes,
)
from raml.schemas import ProbeCurve, TokenChange
from raml.storage import Provenance, read_provenance, read_table, write_table

GROUPS = {"reflection": ["Wait", "Hold on"], "digits": [r"\d+"], "signs": [r"[+-]\d"]}
PIECES = ["Wait", " Wait", "Hold", " on", "ing", " 1", "2", "+", "\n", " hat", " a", "b", "c", "d", "e", "f", "g"]
FILES = {"curves": "curves.parquet", "tokenizer": "tokenizer.json", "out": "roles.parquet"}
IS_ROLE = {"role": pl.col("role") == "role"}


def decode(ids: Sequence[int]) -> str:
    return "".join(PIECES[token] for token in ids)


LETTERS = ["b", "c", "d", "e", "f", "g"][:LONGEST_PHRASE]
DIGITS = {"digits": [r"\d+"]}


@pytest.mark.parametrize(
    ("pieces", "groups", "expected"),
    [  # blanks around a token do not matter, the whole text has to match, what follows is not looked at
        ([" Wait", " hat", " 1"], GROUPS, [("Wait", "reflection"), ("hat", OTHER), ("1", "digits")]),
        (["Wait", "ing"], GROUPS, [("Wait", "reflection"), ("ing", OTHER)]),
        # the token that completes a phrase counts
        (["Hold", " on", " on"], GROUPS, [("Hold", OTHER), ("Hold on", "reflection"), ("on", OTHER)]),
        ([" on", "Hold"], GROUPS, [("on", OTHER), ("Hold", OTHER)]),
        (["Hold", "\n", " on"], GROUPS, [("Hold", OTHER), ("\n", OTHER), ("on", OTHER)]),
        # a blank token neither begins nor completes anything
        (["2", "\n"], DIGITS, [("2", "digits"), ("\n", OTHER)]),
        (["Wait", "\n", "\n"], GROUPS, [("Wait", "reflection"), ("\n", OTHER), ("\n", OTHER)]),
        # of several roles the alphabetically first counts, whatever the order of the configuration
        (["+", "2"], GROUPS, [("+", OTHER), ("2", "digits")]),
        (["+", "2"], dict(reversed(GROUPS.items())), [("+", OTHER), ("2", "digits")]),
        (["+", "2"], {**DIGITS, "a sum": [r"[+-]\d"]}, [("+", OTHER), ("+2", "a sum")]),
        # phrases have an end
        (LETTERS, {"all": ["bcdefg"]}, [*((letter, OTHER) for letter in LETTERS[:-1]), ("bcdefg", "all")]),
        ([" a", *LETTERS], {"all": ["abcdefg"]}, [(letter, OTHER) for letter in ["a", *LETTERS]]),
    ],
)
def test_roles_of_tokens(pieces: list[str], groups: dict[str, list[str]], expected: list[tuple[str, str]]) -> None:
    assert assign_roles([PIECES.index(piece) for piece in pieces], compile_groups(groups), decode) == expected


def test_groups_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"token_roles\.digits: not a regular expression: .*unterminated"):
        compile_groups({"digits": ["[0-9"]})
    with pytest.raises(ConfigError, match=r"token_roles\.other: this name is kept"):
        compile_groups({"other": ["x"]})


def curve(nll: Sequence[float], pieces: Sequence[str], *, mode: str = "thinking", name: str = "q/m/0") -> pl.DataFrame:
    frame = {
        "trajectory_id": name,
        "question_id": "q",
        "benchmark": "rows",
        "model": "m",
        "seed": 0,
        "mode": mode,
        "answer": "1",
        "correct": True,
        "position": range(len(nll)),
        "length": len(nll) - 1,
        "token_id": [None, *(PIECES.index(piece) for piece in pieces)],
        "nll": nll,
    }
    return ProbeCurve.cast(pl.DataFrame(frame))


def test_changes_are_relative_to_the_nll_before_and_undefined_where_that_is_zero() -> None:
    first = curve([2.0, 3.0, 0.0, 1.0, 1.0], ["Wait", " 1", "2", " hat"])
    second = curve([4.0, 1.0], [" hat"], name="q/m/1")
    no_thinking = first.with_columns(mode=pl.lit("no_thinking").cast(ProbeCurve.mode.dtype), nll=pl.lit(9.0))
    changes = token_changes(pl.concat([second, no_thinking, first.reverse()]), GROUPS, decode)
    assert changes.columns == TokenChange.column_names()
    assert changes.select("position", "token", "role", "before", "after", "relative_change").rows() == [
        (1, "Wait", "reflection", 2.0, 3.0, 0.5),
        (2, "1", "digits", 3.0, 0.0, 1.0),
        (3, "2", "digits", 0.0, 1.0, None),
        (4, "hat", OTHER, 1.0, 1.0, 0.0),
        (1, "hat", OTHER, 4.0, 1.0, 0.75),
    ]


def test_skipped_positions_are_refused() -> None:
    whole = curve([2.0, 3.0, 0.0], ["Wait", " 1"])
    for strided in (whole.filter(pl.col("position") != 1), whole.filter(pl.col("position") < 2)):
        with pytest.raises(DataError, match=r"the curve of q/m/0 skips some; set probing.stride = 1"):
            token_changes(strided, GROUPS, decode)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_summaries_are_mean_median_and_trimmed_mean(values: list[float]) -> None:
    array = np.array(values)
    expected = [array.mean(), np.median(array), trim_mean(array, 0.2)]
    np.testing.assert_allclose(summaries(array), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(summaries(np.stack([array, array[::-1]]))[1], [np.median(array)] * 2)


def changes_of(name: str, roles: Sequence[str], values: Sequence[float]) -> pl.DataFrame:
    columns = {"seed": 0, "model": "m", "trajectory_id": name, "position": range(1, len(roles) + 1)}
    return pl.DataFrame({**columns, "role": roles, "relative_change": values})


def simulated(generator: np.random.Generator, *, shift: float = 0.0, trajectories: int = 12) -> pl.DataFrame:
    """Heavy-tailed changes on a scale of each trajectory's own, whose first tokens have the role more often."""
    frames = []
    for number in range(trajectories):
        length = int(generator.integers(4, 20))
        has_role = generator.random(length) < (0.6 if number % 2 else 0.1)
        change = generator.lognormal(3.0 * (number % 2), 1.5, length) * np.exp(shift * has_role)
        frames.append(changes_of(f"t{number}", np.where(has_role, "role", OTHER), change))
    return pl.concat(frames)


def test_p_values_are_uniform_where_the_role_means_nothing() -> None:
    """Although tokens of the role stand mostly in trajectories with large changes."""
    generator = np.random.default_rng(0)
    p_values = [
        permutation_p_values(simulated(generator), IS_ROLE, seed=number, permutations=199)["role"]
        for number in range(200)
    ]
    for name in SUMMARIES:
        assert kstest([one[name] for one in p_values], "uniform").pvalue > 0.01


def test_p_values_are_small_where_the_role_means_something() -> None:
    changes = simulated(np.random.default_rng(0), shift=2.0, trajectories=40)
    found = permutation_p_values(changes, IS_ROLE | {OTHER: pl.col("role") == OTHER}, permutations=999)
    assert found["role"]["median"] == found["role"]["trimmed_mean"] == 1 / 1000
    assert found[OTHER]["median"] > 0.99


def test_p_values_count_ties_and_the_observed_arrangement() -> None:
    changes = simulated(np.random.default_rng(0)).with_columns(relative_change=pl.lit(0.1))
    assert permutation_p_values(changes, IS_ROLE, permutations=99)["role"] == dict.fromkeys(SUMMARIES, 1.0)


def test_p_values_depend_on_the_seed_and_not_on_other_roles_or_the_order_of_rows() -> None:
    changes = simulated(np.random.default_rng(1))
    alone = permutation_p_values(changes, IS_ROLE, seed=5, permutations=200)
    other = {"other": pl.col("role") == OTHER}
    assert permutation_p_values(changes.reverse(), other | IS_ROLE, seed=5, permutations=200)["role"] == alone["role"]
    assert permutation_p_values(changes, IS_ROLE, seed=6, permutations=200) != alone


def test_roles_without_a_defined_change_have_no_p_value() -> None:
    changes = simulated(np.random.default_rng(0))
    assert permutation_p_values(changes.filter(pl.col("role") == OTHER), IS_ROLE) == {}
    assert permutation_p_values(changes.clear(), IS_ROLE) == {}
    undefined = changes.with_columns(relative_change=pl.when(pl.col("role") == OTHER).then(pl.col("relative_change")))
    assert permutation_p_values(undefined, IS_ROLE) == {}


def test_the_exact_test_of_a_small_case() -> None:
    """Of the six places of two tokens among four, one gives a mean as large: p is about 1/6."""
    changes = changes_of("t", ["role", "role", OTHER, OTHER], [3.0, 4.0, 1.0, 2.0])
    found = permutation_p_values(changes, IS_ROLE, permutations=20_000)["role"]
    assert found["mean"] == pytest.approx(1 / 6, abs=0.015)


def step(folder: Path, curves: pl.DataFrame, tokenizer: str) -> Path:
    origin = Provenance(scale="s", config_hash="0", code_version="0", model_hash="f00")
    write_table(curves, ProbeCurve, folder / "curves.parquet", origin)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    options = {name: folder / file for name, file in FILES.items()}
    job = Job(token_roles=GROUPS, probing=PROBING.model_copy(update={"models": ["m"], "benchmarks": ["rows"]}))
    return start(main, job, options, inputs=["curves", "tokenizer"])


def byte_level() -> str:
    tokenizer = Tokenizer(
        models.WordLevel({piece.replace(" ", "Ġ"): i for i, piece in enumerate(PIECES)}, unk_token="a")
    )
    tokenizer.decoder = decoders.ByteLevel()
    return str(tokenizer.to_str())


def test_step_writes_the_changes_of_the_main_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = curve([2.0, 3.0, 1.5], ["Hold", " on"])
    other = own.with_columns(model=pl.lit("another"))
    out = step(tmp_path, pl.concat([own, other]), byte_level())
    table = read_table(out, TokenChange)
    assert table.select("model", "token", "role", "relative_change").rows() == [
        ("m", "Hold", OTHER, 0.5),
        ("m", "Hold on", "reflection", 0.5),
    ]
    assert "'reflection': 1" in capsys.readouterr().out
    assert read_provenance(out).model_hash == "f00"
    first = out.read_bytes()
    assert step(tmp_path, pl.concat([other, own]), byte_level()).read_bytes() == first
    assert read_table(step(tmp_path, ProbeCurve.create_empty(), byte_level()), TokenChange).is_empty()


def test_step_names_a_file_that_is_no_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        step(tmp_path, ProbeCurve.create_empty(), "{}")
    assert "tokenizer.json is not a tokenizer file" in capsys.readouterr().err
