"""What all rules share: the scale, the environment of jobs, one run at a time.

Nothing here imports torch or polars, so that `snakemake -n` starts quickly.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

SOURCE = Path(workflow.basedir, "src")
sys.path.insert(0, str(SOURCE))

from pydantic_core import to_jsonable_python

from raml import records
from raml.code import PACKAGES
from raml.config import load_scale
from raml.digests import remembered_digest
from raml.errors import ConfigError, RamlError
from raml.runs import regimes, sampled_together, series
from raml.report.probed import MODEL_NUMBER, figures_of, probed_model
from raml.trajectories.engine import MODULES


def load_scale_or_exit(settings):
    """The scale that `--config scale=` names with the other keys laid over it; exit 2 with one line if it is not valid."""
    overrides = dict(settings)
    name = str(overrides.pop("scale", "micro"))
    try:
        return load_scale(name, overrides)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def as_json(sections):
    """Sections of the configuration as canonical JSON, which is what a step receives."""
    return json.dumps(to_jsonable_python(sections), sort_keys=True, separators=(",", ":"))


def step(module, sections):
    """The parameters of a step: the scale's name, its `sections` as JSON and the digest of its code
    and the pinned versions of the packages that matter.

    A changed value reruns the steps that are given it; an edited function reruns the steps that import it.
    `module` may hold wildcards, `sections` may be a function of them.
    """
    return {
        "scale": SCALE.scale,
        "config": lambda wildcards: as_json(sections(wildcards) if callable(sections) else sections),
        "code": lambda wildcards: remembered_digest(module.format(**dict(wildcards.items())), UNUSED),
        "packages": PINNED,
    }


def tokenizer_files(folder):
    """The files of a tokenizer by name."""
    return {
        "tokenizer": f"{folder}/tokenizer.json",
        "tokenizer_config": f"{folder}/tokenizer_config.json",
        "chat_template": f"{folder}/chat_template.jinja",
    }


def model_files(folder):
    """The files of a Hugging Face model by name."""
    return {
        "weights": f"{folder}/model.safetensors",
        "config": f"{folder}/config.json",
        "generation_config": f"{folder}/generation_config.json",
        "facts": f"{folder}/raml.json",
        **tokenizer_files(folder),
    }


def folders(models):
    """The folders of models of one training seed."""
    return [f"<results>/models/seed{{seed}}/{model}" for model in models]


def weights(models):
    """The weights of models of one training seed."""
    return [f"{folder}/model.safetensors" for folder in folders(models)]


def files(models):
    """The files of models of one training seed, but for their weights."""
    return [file for folder in folders(models) for name, file in model_files(folder).items() if name != "weights"]


def address(published):
    """Where a published model is, without what is said of it besides."""
    return {"model": published.model, "revision": published.revision}


def training_trajectories(style):
    """The table of a style's trajectories: short, long or wrong. Programs write wrong ones on purpose, and of the
    published writers the long one's wrong trajectories serve."""
    if SCALE.oracle:
        return f"<results>/trajectories/oracle_{style}.parquet"
    return f"<results>/trajectories/{'long' if style == 'wrong' else style}.parquet"


def shown(figure, exhibit):
    """The path of a figure that `snakemake --report` shows, with a caption."""
    return report(figure, caption="../report/exhibit.rst", category="Exhibits", labels={"exhibit": exhibit})


def lock_or_none():
    """The lock of this folder, held until it is closed; None while another run has it."""
    Path(".snakemake").mkdir(exist_ok=True)
    lock = open(".snakemake/raml.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def bring_records():
    """Let Snakemake know how the results that came with git and DVC were made; exit 2 with one line if it cannot.

    Not in jobs on other machines, and not while another run is at work: it knows, and writes records itself.
    """
    if not workflow.is_main_process:
        return
    lock = lock_or_none()
    if lock is None:
        return
    try:
        records.synchronise(SCALE.scale)
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        lock.close()


def keep_records():
    """Keep Snakemake's records in git once all went well."""
    records.save(SCALE.scale, complete=any(job.rule.name == "all" for job in workflow.dag.jobs))


def refuse_touch():
    """`--touch` would call results new that were made with other code or settings; exit 2 with one line."""
    if workflow.touch:
        print("error: --touch would call old results new; a run without it makes what has changed", file=sys.stderr)
        sys.exit(2)


def take_lock():
    """Refuse to start while another run works in this folder; exit 2 with one line.

    The kernel drops the lock with the process, so that a killed run leaves none behind.
    """
    global _lock
    _lock = lock_or_none()
    if _lock is None:
        print(f"error: another run is at work in {os.getcwd()}; wait until it ends", file=sys.stderr)
        sys.exit(2)


SCALE = load_scale_or_exit(config)

# A new version of one of these reruns everything.
LOCK = Path(workflow.basedir, "requirements", "core.lock")
PINNED = sorted(line for line in LOCK.read_text().splitlines() if line.split("==")[0] in PACKAGES)

# Steps that sample import all engines; an edit of one that the scale does not name reruns nothing.
UNUSED = frozenset(module for engine, module in MODULES.items() if engine not in SCALE.engines)

# Relative, as all inputs are, so that a moved checkout has nothing to redo.
TEMPLATES = sorted(str(path.relative_to(SOURCE.parent)) for path in SOURCE.glob("raml/report/templates/*.j2"))

# A job on GPUs takes as many as training has processes, one that runs a single process too: on its own it would choose
# the first GPU, whoever is there. profiles/default has how many a node has.
GPUS = SCALE.hardware.processes if SCALE.device.kind == "gpu" else 0

# Sampling takes as many as a model is split over: the others serve further sampling jobs at the same time.
SAMPLING_GPUS = SCALE.engine.tensor_parallel if SCALE.device.kind == "gpu" else 0

# Where samples are kept until their table is whole.
SHARDS = f".cache/sampling/{SCALE.scale}"

MAIN_MODEL = SCALE.probing.models[0]

# The folder of the tokenizer that all trained models share.
TOKENIZER = "<results>/trajectories/tokenizer" if SCALE.pretraining else f"<results>/models/seed{SCALE.seeds[0]}/base"

# Right answers to benchmark questions, which no training has seen: what the outer loop's loss is taken on.
HELD_OUT = "<results>/trajectories/held_out_long.parquet"

# What a main model writes on the benchmarks.
SAMPLES = "<results>/evaluations/samples/seed{seed}/{model}.parquet"

# Exhibits of answer-NLL curves, each with the probed model whose curves it shows.
CURVE_EXHIBITS = {exhibit: probed_model(exhibit, SCALE.probing.models) for exhibit in figures_of(SCALE.probing.models)}

# In the page's order.
PAGE = [
    *("prop2.1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "fig11", "fig12", "fig13", "fig14"),
    *("fig15", "fig16", "tab1", "tab2", "tab3", "training", "times"),
]
TIMED = Path("results", SCALE.scale, "times.json").exists()
LEFT_OUT = {
    *(MODEL_NUMBER.keys() - CURVE_EXHIBITS),
    *([] if SCALE.community else ["fig4"]),
    *([] if TIMED else ["times"]),
}
EXHIBITS = [exhibit for exhibit in PAGE if exhibit not in LEFT_OUT]

# Jobs run the source beside this file with the Python that runs Snakemake, offline. Snakemake sets
# OMP_NUM_THREADS to a job's `threads`; a result's bytes follow the `threads` of its configuration.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    PYTHONPATH=str(SOURCE),
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_WAIT_POLICY="passive",  # spinning threads make a job on busy cores ten times slower
    RAML_WORKFLOW_PID=str(os.getpid()),
)


pathvars:
    results=f"results/{SCALE.scale}",
    logs=f"logs/{SCALE.scale}",
    benchmarks=f"benchmarks/{SCALE.scale}",


wildcard_constraints:
    seed=r"\d+",
    model="|".join(SCALE.models),
    sweep="|".join(sampled_together(SCALE)),


onstart:
    refuse_touch()
    take_lock()


onsuccess:
    keep_records()


bring_records()
