"""The viewer of a scale's trajectories: a page with the list of questions, and files that it reads on demand.

    python -m raml.report.trajectories --scale S --config '{"probing": {...}, "exhibits": [...]}' \\
        --questions Q.parquet --tokenizer tokenizer.json --curves C.parquet ... --samples T.parquet ... \\
        --page trajectories.html --parts trajectories/seed0-sft_long-rows-0.js ...

Pages opened from a disk may not fetch files, but may load scripts that lie beside them: each part is one. Curves are
rounded to a thousandth of a nat.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup
from tokenizers import Tokenizer

from raml.config import Probing, Section
from raml.errors import DataError
from raml.probing.roles import load_tokenizer
from raml.report.exhibit import read_sources
from raml.report.page import content_hash, embedded, environment, site
from raml.report.viewer import FULL_SHADE_QUANTILE, LEVELS
from raml.report.viewer_chunks import QUESTIONS_PER_PART, part_name
from raml.report.viewer_data import FollowedSample, pieces, read_followed
from raml.schemas import ProbeCurve, Question
from raml.step import Step, check_lengths, run
from raml.storage import read_table, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["questions", "tokenizer"],
    "many": ["curves", "samples"],
    "outputs": ["page"],
    "many_outputs": ["parts"],
}
MODES: Final = ("thinking", "no_thinking")

Places = Mapping[str, tuple[str, int]]


class Job(Section):
    """What the viewer needs to know of the configuration."""

    probing: Probing
    exhibits: list[str]


def main(step: Step[Job]) -> None:
    """Write the page and its parts.

    Raises:
        ConfigError: not as many samples as curves.
        DataError: an input cannot be read, was made at another scale, or does not fit the others.
    """
    files, lists, probing = step.files, step.lists, step.config.probing
    check_lengths({"curves": lists["curves"], "samples": lists["samples"]})
    read_sources([*lists["curves"], *lists["samples"], files["questions"]], step.scale)
    asked = read_table(files["questions"], Question).filter(pl.col("split").is_in(probing.benchmarks))
    asked = asked.sort(pl.col("split").replace_strict({name: k for k, name in enumerate(probing.benchmarks)}), "id")
    tokenizer, places = load_tokenizer(files["tokenizer"]), places_of(asked)
    parts: dict[str, dict[str, Any]] = {path.stem: new_part() for path in lists["parts"]}
    counts: dict[str, dict[int, list[int]]] = {}
    changes: list[np.ndarray[Any, Any]] = [np.zeros(0)]
    number = {identity: place for place, identity in enumerate(asked["id"].to_list())}
    for curves, samples in zip(lists["curves"], lists["samples"], strict=True):
        key = whose(curves)
        of_model: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for followed in read_followed(curves, samples):
            if followed.question not in places:
                raise DataError(f"{curves} follows question {followed.question!r}, which {files['questions']} lacks")
            benchmark, part = places[followed.question]
            name = part_name(key[0], key[1], benchmark, part)
            if name not in parts:
                raise DataError(f"--parts lacks {name}.js, which holds question {followed.question!r}")
            add(parts[name], followed, tokenizer)
            of_model[number[followed.question]][not followed.correct] += 1
            changes += [np.abs(np.diff(nll)) for nll in followed.nll.values()]
        counts[f"{key[0]}/{key[1]}"] = dict(of_model)
    for path in lists["parts"]:
        write_text(part_text(path.stem, parts[path.stem]), path)
    write_text(page_text(step, asked, places, counts, full_shade(np.concatenate(changes))), files["page"])


def whose(curves: Path) -> tuple[int, str]:
    """Training seed and model that a file of curves is of.

    Raises:
        DataError: it is of several, or of none.
    """
    found = read_table(curves, ProbeCurve).select("seed", "model").unique()
    if found.height == 1:
        return int(found["seed"][0]), str(found["model"][0])
    # Without a trajectory to follow the table is empty, and its place says whose it is.
    seed, model = curves.parent.parent.name.removeprefix("seed"), curves.parent.name
    if found.height == 0 and seed.isdigit():
        return int(seed), model
    raise DataError(f"{curves} has curves of {found.height} models and seeds; each file has those of one")


def places_of(asked: pl.DataFrame) -> dict[str, tuple[str, int]]:
    """Of each question its benchmark and the number of the part that it is in; `asked` is sorted."""
    places = {}
    for (benchmark,), rows in asked.group_by("split", maintain_order=True):
        for place, identity in enumerate(rows["id"].to_list()):
            places[identity] = (str(benchmark), place // QUESTIONS_PER_PART)
    return places


def new_part() -> dict[str, Any]:
    """A part without trajectories."""
    return {"vocabulary": {}, "questions": {}}


def add(part: dict[str, Any], followed: FollowedSample, tokenizer: Tokenizer) -> None:
    """Add a trajectory to a part: its tokens as places in the vocabulary, NLLs in thousandths of a nat."""
    vocabulary = part["vocabulary"]
    entry = {
        "sample": followed.sample,
        "correct": followed.correct,
        "tokens": [vocabulary.setdefault(text, len(vocabulary)) for text in pieces(tokenizer, followed.token_ids)],
        "nll": {mode: np.rint(1000 * nll).astype(int).tolist() for mode, nll in followed.nll.items()},
    }
    if len(followed.positions) != len(followed.token_ids) + 1:
        entry["positions"] = list(followed.positions)
    part["questions"].setdefault(followed.question, []).append(entry)


def part_text(name: str, part: dict[str, Any]) -> str:
    """The script that hands a part to the page; any text in it is a JSON string."""
    data = {"vocabulary": list(part["vocabulary"]), "questions": part["questions"]}
    return f"ramlPart({json.dumps(name)},{embedded(data)});\n"


def full_shade(changes: np.ndarray[Any, Any]) -> float:
    """The change in nats that has the full colour, of all trajectories together (as in `raml.report.viewer`)."""
    if changes.size == 0:
        return 1.0
    place = math.ceil(FULL_SHADE_QUANTILE * changes.size) - 1
    return float(f"{np.partition(changes, place)[place]:.2g}") or 1.0


def page_text(
    step: Step[Job], asked: pl.DataFrame, places: Places, counts: Mapping[str, dict[int, list[int]]], shade: float
) -> str:
    """The page as HTML."""
    models = [model for model in step.config.probing.models if any(key.endswith(f"/{model}") for key in counts)]
    jinja = environment()
    script = "".join(jinja.get_template(name).render() for name in ("viewer.js.j2", "trajectories.js.j2"))
    questions = [
        {"id": row["id"], "benchmark": row["split"], "prompt": row["prompt"], "answer": row["answer"]}
        | {"part": places[row["id"]][1]}
        for row in asked.iter_rows(named=True)
    ]
    data = {"levels": LEVELS, "fullShade": shade, "modes": list(MODES), "questions": questions, "counts": counts}
    return jinja.get_template("trajectories.html.j2").render(
        site=site(step.scale, step.config.exhibits),
        here="trajectories.html",
        questions=questions,
        models=models,
        seeds=sorted({int(key.split("/")[0]) for key in counts}),
        benchmarks=step.config.probing.benchmarks,
        trajectories=sum(sum(pair) for of_model in counts.values() for pair in of_model.values()),
        end_of_thinking=step.config.probing.end_of_thinking,
        levels=LEVELS,
        script=Markup(script),
        script_hash=content_hash(script),
        data=embedded(data),
    )


if __name__ == "__main__":
    run(main, Job, **FILES)
