"""Token roles: what is matched, and what the changes are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean
from step_tables import PROBING, start
from tokenizers import Tokenizer, decoders, models

from raml.errors import ConfigError, DataError
from raml.probing.roles import (
    LONGEST_PHRASE,
    OTHER,
    Job,
    assign_roles,
    compile_groups,
    main,
    summaries,
    token_changes,
)
from raml.schemas import ProbeCurve, TokenChange
from raml.storage import Provenance, read_provenance, read_table, write_table

GROUPS = {"reflection": ["Wait", "Hold on"], "digits": [r"\d+"], "signs": [r"[+-]\d"]}
PIECES = ["Wait", " Wait", "Hold", " on", "ing", " 1", "2", "+", "\n", " hat", " a", "b", "c", "d", "e", "f", "g"]
FILES = {"curves": "curves.parquet", "tokenizer": "tokenizer.json", "out": "roles.parquet"}


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
