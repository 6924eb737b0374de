"""The test `construction`: does the update that the proof of Proposition 2.1 constructs give the block's output?

The formula as printed is no matrix product; what is judged is our reading of it (`raml.probing.implicit.block`).
"""

import polars as pl

from raml.claims.decision import Decision, as_json, in_words, interval_or_none, judge, one_condition
from raml.claims.sections import Construction
from raml.evaluation.intervals import Bootstrap, cells

RANDOM = "random"  # the source of blocks that are no model's
CONSTRUCTIONS = ("none", "query", "paper", "exact")
FEW_LAYERS = 4  # that a reason can go through one by one


def decide(test: Construction, blocks: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the relative error that the paper's construction leaves on the model's first layer, layer 0.

    One prompt a question. The reason also gives the model's other layers (of many between what they lie), and what is
    left where the query alone is changed, or nothing. The details hold all layers and constructions, and means over
    draws of random blocks for each width and prompt length.

    Args:
        test: where the line lies.
        blocks: rows of `schemas.BlockResidual`, all seeds.
        bootstrap: how intervals are made.
    """
    of_model = blocks.filter(pl.col("source") != RANDOM)
    meant = of_model.filter(pl.col("layer") == 0, pl.col("construction") == "paper")
    error = interval_or_none(cells(meant, "relative_error"), bootstrap, "construction", lowest=0)
    questions = meant["question_id"].n_unique()
    verdict, reason = judge(error, "below", test.tolerance, questions, test.min_questions)
    reasons = [
        f"in layer 0, in our reading of a formula that as printed is no matrix product, the relative error of the "
        f"output {reason}"
    ]
    layers = sorted(of_model["layer"].unique())
    if baselines := _baselines_in_words(of_model.filter(layer=0), bootstrap):
        reasons.append(f"there, {baselines}")
    if len(layers) <= FEW_LAYERS:
        reasons += _layer_by_layer(of_model, layers[1:], bootstrap)
    else:
        reasons.append(_layers_in_short(of_model.filter(pl.col("layer") > 0)))
    exact = _of(of_model, "exact")
    if exact.height:
        largest = exact.select(pl.col("relative_error").max()).item()
        reasons.append(f"the exact update of the same blocks leaves at most {largest:.1e}")
    n = {"questions": questions, "seeds": meant["seed"].n_unique(), "random_blocks": _random_blocks(blocks)}
    details: dict[str, object] = {
        "model": meant["source"][0] if meant.height else None,
        "tolerance": test.tolerance,
        "layers": {
            str(layer): _by_construction(of_model.filter(layer=layer), bootstrap, str(layer)) for layer in layers
        },
        "random_blocks": random_means(blocks).to_dicts(),
    }
    evidence = one_condition(error, verdict, "below", test.tolerance, questions, test.min_questions)
    return Decision(verdict, "; ".join(reasons), error, "relative error of the output", n, details, evidence)


def _layer_by_layer(of_model: pl.DataFrame, layers: list[int], bootstrap: Bootstrap) -> list[str]:
    """What the construction and its baselines leave on each of `layers`; nothing of those with too few questions."""
    said = []
    for layer in layers:
        rows = of_model.filter(layer=layer)
        found = interval_or_none(cells(_of(rows, "paper"), "relative_error"), bootstrap, "layer", str(layer), lowest=0)
        if found:
            said.append(f"layer {layer}: {in_words(found)}, {_baselines_in_words(rows, bootstrap)}")
    return said


def _layers_in_short(further: pl.DataFrame) -> str:
    """Between what the means of the `further` layers lie, and where changing nothing would have been better."""
    means = further.group_by("layer", "construction").agg(pl.col("relative_error").mean()).sort("layer")
    paper, none = (_of(means, name) for name in ("paper", "none"))
    smallest, largest = (paper.sort("relative_error").row(place, named=True) for place in (0, -1))
    better = paper.join(none, on="layer").filter(pl.col("relative_error_right") < pl.col("relative_error")).height
    (low, lowest), (high, highest) = ((row["relative_error"], row["layer"]) for row in (smallest, largest))
    return (
        f"in the {paper.height} further layers it leaves {low:.2f} (layer {lowest}) to {high:.2f} (layer {highest}) on "
        f"average, more than unchanged weights in {better}"
    )


def random_means(blocks: pl.DataFrame) -> pl.DataFrame:
    """Residuals of random blocks, averaged over draws and seeds.

    Args:
        blocks: rows of `schemas.BlockResidual`.

    Returns:
        By `construction`, `dimension` and `prompt_length`: the mean `relative_error` and its `lowest` and
        `highest`, the median `relative_norm` (the mean of the paper's is ruled by a few singular prompts),
        and `draws`.
    """
    error = pl.col("relative_error")
    return (
        blocks.filter(source=RANDOM)
        .group_by(pl.col("construction").cast(pl.String), "dimension", "prompt_length")
        .agg(
            error.mean(),
            error.min().alias("lowest"),
            error.max().alias("highest"),
            pl.col("relative_norm").median(),
            pl.len().alias("draws"),
        )
        .sort("construction", "dimension", "prompt_length")
    )


def _random_blocks(blocks: pl.DataFrame) -> int:
    return blocks.filter(source=RANDOM, construction="exact").height


def _by_construction(layer: pl.DataFrame, bootstrap: Bootstrap, label: str) -> dict[str, object]:
    return {
        name: {
            value: as_json(
                interval_or_none(cells(rows, value), bootstrap, "construction", label, name, value, lowest=0)
            )
            for value in ("relative_error", "relative_norm")
        }
        for name in CONSTRUCTIONS
        if (rows := _of(layer, name)).height
    }


def _baselines_in_words(layer: pl.DataFrame, bootstrap: Bootstrap) -> str:
    """What changing the query alone, and changing nothing, leaves; empty with too few questions."""
    said = {"query": "the changed query alone leaves", "none": "unchanged weights"}
    means = {
        name: interval_or_none(cells(_of(layer, name), "relative_error"), bootstrap, "construction", name, lowest=0)
        for name in said
    }
    return ", ".join(f"{said[name]} {in_words(mean)}" for name, mean in means.items() if mean)


def _of(blocks: pl.DataFrame, construction: str) -> pl.DataFrame:
    return blocks.filter(pl.col("construction") == construction)
