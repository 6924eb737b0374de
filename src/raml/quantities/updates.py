"""Quantities of weight updates: how exact they are, how large, and whether they point downhill (Proposition 2.1)."""

from typing import Final

import polars as pl

from raml.quantities.table import by_question, empty

PREFIX: Final = [
    *("seed", "model", "question_id", "benchmark", "trajectory_id", "correct", "source", "draw", "projection"),
    *("position", "length"),
]
EXACT: Final = 1e-3
"""Largest difference of a logit that counts as none."""
RANDOM: Final = "random"
"""The source of blocks that are no model's."""


def update_quantities(updates: pl.DataFrame) -> pl.DataFrame:
    """By projection and outcome the updates' errors, length and direction; null trajectories are variants of the model.

    `logit difference/output/correct` is of `sft_long`, `cosine/output/correct` of `sft_long`, `sft_long/shuffled` and
    `sft_long/random`; of the directions there is one for all prefixes but the empty one, one for those of each quarter
    of the trajectory and one for each layer by itself.

    Args:
        updates: rows of `schemas.WeightUpdate`.
    """
    real = updates.filter(source="trajectory").unique(PREFIX, keep="first", maintain_order=True)  # same in each layer
    directions, by_layer = (_with_variant(update_directions(updates, *by)) for by in ((), ("layer",)))
    parts = [empty()]
    for projection in ("output", "value"):
        for outcome in ("correct", "incorrect"):
            where, ending = (
                (pl.col("projection") == projection, pl.col("correct") == (outcome == "correct")),
                f"{projection}/{outcome}",
            )
            errors: dict[str, str | pl.Expr] = {
                "logit difference": "logit_difference",
                "NLL difference": "nll_difference",
                "exact": pl.col("logit_difference") <= EXACT,
            }
            parts.append(by_question(real.filter(where), {f"{name}/{ending}": value for name, value in errors.items()}))
            names = ("cosine", "relative norm", "first order", "actual", "agreement")
            columns = {name: name.replace(" ", "_") for name in names}
            rows = directions.filter(where)
            parts.append(by_question(rows, {f"{name}/{ending}": column for name, column in columns.items()}))
            for quarter in (1, 2, 3, 4):
                at = {f"{name}/{ending}/quarter {quarter}": column for name, column in columns.items()}
                parts.append(by_question(rows.filter(pl.col("quarter") == quarter), at))
            for (layer,), of_layer in by_layer.filter(where).group_by("layer", maintain_order=True):
                parts.append(by_question(of_layer, {f"cosine/{ending}/layer {layer}": "cosine"}))
    return pl.concat(parts)


def update_directions(updates: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Length and direction of each prefix's update, the layers taken together as one vector.

    Args:
        updates: rows of `schemas.WeightUpdate`.
        by: `layer`, for each layer by itself.

    Returns:
        A row a prefix (the empty one left out), and a layer if so asked: what identifies it, the `quarter` of the
        trajectory at whose end it ends (1 to 4, the nearest), its `cosine` with the negative gradient (0 where either
        is 0), its `relative_norm`, that of the update against that of the weights, and of the answer NLL in nats per
        token the change that the gradient promises (`first_order`), that of the whole update, all layers together
        (`actual`), and whether both have the same sign (`agreement`, 0 or 1).
    """
    update, gradient, weight = ((pl.col(f"{name}_norm") ** 2).sum().sqrt() for name in ("update", "gradient", "weight"))
    nearest = (4 * pl.col("position") / pl.col("length")).round()
    return (
        updates.filter(pl.col("position") > 0)
        .group_by(*PREFIX, *by, maintain_order=True)
        .agg(
            (pl.col("descent").sum() / (update * gradient)).fill_nan(0.0).alias("cosine"),
            (update / weight).alias("relative_norm"),
            (-pl.col("descent").sum()).alias("first_order"),
            (pl.col("nll") - pl.col("nll_without")).first().alias("actual"),
        )
        .with_columns(
            nearest.clip(1, 4).cast(pl.Int32).alias("quarter"),
            (pl.col("first_order").sign() == pl.col("actual").sign()).cast(pl.Float64).alias("agreement"),
        )
    )


def block_quantities(blocks: pl.DataFrame, benchmarks: pl.DataFrame) -> pl.DataFrame:
    """What each construction leaves of a block's output: on a model's layers, and on random blocks by width and length.

    `block error/paper/layer 0` of a model has a question for each prompt, `block error/paper/width 64/length 16` of
    the model `random` one for each draw.

    Args:
        blocks: rows of `schemas.BlockResidual`.
        benchmarks: `question_id` and `benchmark` of every benchmark question.
    """
    named = blocks.with_columns(pl.col("construction").cast(pl.String), model=pl.col("source"))
    of_model = named.filter(pl.col("source") != RANDOM).join(benchmarks, on="question_id", how="left")
    at_random = named.filter(pl.col("source") == RANDOM).with_columns(
        question_id=pl.format("draw {}", "draw"), benchmark=pl.lit("")
    )
    parts = [empty()]
    values = {"block error": "relative_error", "block norm": "relative_norm"}
    for (construction, layer), rows in of_model.group_by("construction", "layer", maintain_order=True):
        parts.append(
            by_question(rows, {f"{name}/{construction}/layer {layer}": column for name, column in values.items()})
        )
    for (construction, width, length), rows in at_random.group_by(
        "construction", "dimension", "prompt_length", maintain_order=True
    ):
        at = f"{construction}/width {width}/length {length}"
        parts.append(by_question(rows, {f"{name}/{at}": column for name, column in values.items()}))
    return pl.concat(parts)


def _with_variant(directions: pl.DataFrame) -> pl.DataFrame:
    source = pl.col("source").cast(pl.String)
    return directions.with_columns(
        model=pl.when(source == "trajectory").then(pl.col("model")).otherwise(pl.format("{}/{}", "model", source))
    )
