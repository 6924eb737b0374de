"""What all rules share: the scale, the environment of jobs, one run at a time.

Nothing here imports torch or polars, so that `snakemake -n` starts quickly.
"""

import json
import os
import sys
from glob import glob
from pathlib import Path

SOURCE = Path(workflow.basedir, "src")
sys.path.insert(0, str(SOURCE))

from pydantic_core import to_jsonable_python

from raml import records
from raml.code import PACKAGES
from raml.config import load_scale
from raml.digests import remembered_digest
from raml.errors import ConfigError, RamlError
from raml.redaction import redacted
from raml.running import live, lock, remains, state
from raml.runs import regimes, sampled_together, series
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
    except OSError as error:  # `scale` or `extends` is longer than a file's name can be
        print(f"error: cannot read the scale {name:.80}: {error.strerror}", file=sys.stderr)
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


def shown(exhibits, ending):
    """The paths of figures that `snakemake --report` shows, with a caption."""
    paths = [(exhibit, f"<results>/figures/{exhibit}.{ending}") for exhibit in exhibits]
    about = {"caption": "../report/exhibit.rst", "category": "Exhibits"}
    return [report(path, labels={"exhibit": exhibit}, **about) for exhibit, path in paths]


def or_exit(work, *arguments):
    """What `work` returns; exit with one line if it cannot."""
    try:
        return work(*arguments)
    except RamlError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def only_looks():
    """Whether Snakemake is asked for nothing but to tell something, on its command line or by a program (`raml trace`)."""
    program = Path(sys.argv[0])
    if program.name != "snakemake" and program.parts[-2:] != ("snakemake", "__main__.py"):
        return True
    return workflow.output_settings.dryrun or any(word.partition("=")[0] in LOOKING for word in sys.argv[1:])


def begin():
    """Take the lock if jobs may run, end what a killed run left at work, and let Snakemake know how the results were made
    that came with git and DVC; exit 2 with one line if that cannot be done, or if another run is at work here.

    Not in jobs on other machines. While another run is at work, and where nothing can be locked, who only looks has to do
    without the records: the run writes them itself.
    """
    if not workflow.is_main_process:
        remains.mark_jobs()
        return
    if only_looks():
        taken = lock.try_to_take()
        if taken is not None:
            or_exit(records.synchronise, SCALE.scale)
            taken.release()
        return
    take_lock()
    or_exit(records.synchronise, SCALE.scale)
    if state.ended_early():
        records.save(SCALE.scale, complete=False)  # what a killed run made may be all that is asked for


def keep_records():
    """Keep Snakemake's records in git once all went well."""
    records.save(SCALE.scale, complete=any(job.rule.name == "all" for job in workflow.dag.jobs))


def refuse_touch():
    """`--touch` would call results new that were made with other code or settings; exit 2 with one line."""
    if workflow.touch:
        print("error: --touch would call old results new; a run without it makes what has changed", file=sys.stderr)
        sys.exit(2)


def take_lock():
    """Refuse to go on while another run works in this folder; exit 2 with one line.

    The kernel drops the lock with the process, so that a killed run leaves none behind. A run that DVC started ends with it.
    """
    global _lock
    dvc = or_exit(remains.dvc_above)
    _lock = or_exit(lock.take)
    or_exit(remains.take_away, _lock.before)
    or_exit(_lock.hold, dvc)
    remains.mark_jobs()
    if dvc is not None:
        remains.end_with(dvc)


def schedule_as_jobs_end():
    """Have Snakemake look for jobs to start when one has ended, and at no other time.

    To keep to 100 jobs a second it looks again a second after each look, in one more thread for each job that has ended:
    after 40 jobs that took a quarter of a core. A limit that the user has set stays.
    """
    limiter = workflow.scheduler.job_rate_limiter
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def show():
    """One live line for the whole DAG, and what `raml status` tells; a run goes on without if it cannot be."""
    global _board
    local = workflow.local_exec
    slots = workflow.resource_settings.cores if local else workflow.resource_settings.nodes
    try:
        _board = live.watch(workflow.dag, SCALE.scale, slots=slots or os.cpu_count(), by_threads=local)
    except Exception as error:
        print(f"warning: no live line, and nothing for `raml status`: {redacted(repr(error))}", file=sys.stderr)


_lock = None
_board = None

# Options of Snakemake that make it tell something instead of running jobs.
LOOKING = {
    *("--lint", "--list", "--list-rules", "-l", "--list-target-rules", "--lt", "--print-compilation", "--archive"),
    *("--dag", "--rulegraph", "--filegraph", "--d3dag", "--report", "--summary", "-S", "--detailed-summary", "-D"),
    *("--list-changes", "--lc", "--list-input-changes", "--li", "--list-params-changes", "--lp", "--list-untracked"),
    *("--lu", "--generate-unit-tests", "--containerize", "--unlock"),
}

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
    if _lock is None:  # a program runs jobs through Snakemake's interface
        take_lock()
    schedule_as_jobs_end()
    show()


onsuccess:
    keep_records()
    if _board:
        _board.end("finished")


onerror:
    if _board:
        _board.end("failed")


begin()
