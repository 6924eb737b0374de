"""Exhibits: figures, tables and what is said of them, from their entries.

    python -m raml.report.draw --scale S --config '<the scale>' --exhibits tab1 tab2 .. --effects E --claims C \
        --reported config/reported.yaml --models results/S/tables/models.json --training T --times J \
        --figures F.svg .. --records F.json ..

What effects do not hold is read for the exhibits that show it: the trainers' log (`--training`), and where the time of
a run went (`--times`). Figures of curves and landscapes show single trajectories; `raml.report.draw_raw` draws them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from raml.claims.effects import EffectTable
from raml.claims.results import load_results
from raml.config import Scale
from raml.errors import ConfigError, DataError
from raml.lineage.timings import read_times
from raml.report import tables
from raml.report.charts import bars, dots, lines
from raml.report.charts.svg import drawing, write_svg
from raml.report.context import context
from raml.report.entry import EXHIBITS, Entry, FigureEntry, Prose, render
from raml.report.exhibit import Exhibit, Reading, Source, read_sources, write_exhibit
from raml.report.shown import Effects
from raml.report.training_curves import training
from raml.schemas import TrainingRecord
from raml.step import Step, run
from raml.storage import read_json, read_table, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["effects", "claims", "reported", "models"],
    "many_or_none": ["training", "times"],
    "many_names": ["exhibits"],
    "many_outputs": ["figures", "records"],
}
CHARTS: Final[Mapping[str, Callable[..., Figure]]] = {
    "dots": dots.draw,
    "lines": lines.draw,
    "bars": bars.draw,
}


def main(step: Step[Scale]) -> None:
    """Draw the exhibits and write their records.

    Raises:
        ConfigError: an entry or a text is broken.
        DataError: an input cannot be read, or is of another scale.
    """
    names = base_context(step, **logged(step))
    sources = {
        "effects": read_sources([step.files["effects"]], step.scale),
        "training": read_sources(step.lists["training"], step.scale),
        "times": [],  # differ from run to run, and carry no provenance
    }
    exhibits = step.name_lists["exhibits"]
    for exhibit, figure, record in zip(exhibits, step.lists["figures"], step.lists["records"], strict=True):
        entry, prose = render(exhibit, names)
        draw_exhibit(exhibit, entry, prose, names, figure, record, sources[entry.source])


def logged(step: Step[Scale]) -> dict[str, Any]:
    """The names of what effects do not hold, as far as it was given: `training` and `times`.

    Raises:
        DataError: an input cannot be read, or is of another scale.
    """
    found: dict[str, Any] = {}
    for path in step.lists["training"]:
        found["training"] = training(read_table(path, TrainingRecord), step.config)
    for path in step.lists["times"]:
        found["times"] = read_times(path)
        if found["times"].scale != step.scale:
            raise DataError(
                f"{path} is of scale {found['times'].scale!r}, but this report is of scale {step.scale!r}; write it "
                f"with raml times --scale {step.scale} --save"
            )
    return found


def base_context(step: Step[Scale], **further: Any) -> dict[str, Any]:
    """The names that the exhibits' files can use.

    Raises:
        DataError: an input cannot be read.
    """
    files = step.files
    effects = Effects(read_table(files["effects"], EffectTable))
    models = read_json(files["models"])
    size = max((one["parameters"] for one in models), default=0)
    claims = load_results(files["claims"])
    return context(step.config, effects, claims, files["reported"], size, **further)


def draw_exhibit(
    exhibit: str,
    entry: Entry,
    prose: Prose,
    names: Mapping[str, Any],
    figure: Path,
    record: Path,
    sources: list[Source],
    readings: list[Reading] | None = None,
    chart: Callable[[FigureEntry, Effects], Figure] | None = None,
) -> None:
    """Draw one exhibit and write its record; its tables as Markdown too where the entry asks for it.

    A `chart` that knows more than the effects draws in place of the entry's own.

    Raises:
        ConfigError: the entry names an effect that nobody makes.
        DataError: its data are not there.
    """
    path = EXHIBITS / f"{exhibit}.yaml.j2"
    effects: Effects = names["effects"]
    try:
        with drawing():
            drawn = (chart or CHARTS[entry.chart])(entry.figure, effects)
            many = entry.chart == "surfaces"
            write_svg(drawn, figure, name=exhibit, title=entry.title, description=prose.description, rounded=many)
        built = [tables.build(one, effects) for one in entry.tables]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except KeyError as error:
        raise DataError(f"{path}: {error} is not there") from None
    written = Exhibit(
        id=exhibit,
        title=entry.title,
        lead=entry.lead,
        scale=names["scale"].scale,
        description=prose.description,
        caption=prose.caption,
        done=prose.done,
        deviations=prose.differs,
        n=entry.n,
        tables=built,
        readings=readings or [],
        sources=sources,
    )
    write_exhibit(written, record)
    if entry.markdown:
        text = "\n\n".join([f"# {entry.title}", *(table.markdown() for table in built)]) + "\n"
        write_text(text, record.parent.parent / "tables" / f"{exhibit}.md")


if __name__ == "__main__":
    run(main, Scale, **FILES)
