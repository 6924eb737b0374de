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

from raml.code import code_digest
from raml.config import load_scale
from raml.errors import ConfigError
from raml.runs import regimes, sampled_together, series
from raml.report.probed import MODEL_NUMBER, figures_of, probed_model


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
        "code": lambda wildcards: code_digest(module.format(**dict(wildcards.items()))),
        "packages": PACKAGES,
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


def take_lock():
    """Refuse to start while another run works in this folder; exit 2 with one line.

    The kernel drops the lock with the process, so that a killed run leaves none behind.
    """
    global _lock
    _lock = open(".snakemake/raml.lock", "w")
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"error: another run is at work in {os.getcwd()}; wait until it ends", file=sys.stderr)
        sys.exit(2)


SCALE = load_scale_or_exit(config)

# A new version of one of these may change results, so it reruns everything.
RESULT_PACKAGES = {"numpy", "polars", "reasoning-gym", "scipy", "tokenizers", "torch", "transformers", "trl"}
LOCK = Path(workflow.basedir, "requirements", "core.lock")
PACKAGES = sorted(line for line in LOCK.read_text().splitlines() if line.split("==")[0] in RESULT_PACKAGES)

# Relative, as all inputs are, so that a moved checkout has nothing to redo.
TEMPLATES = sorted(str(path.relative_to(SOURCE.parent)) for path in SOURCE.glob("raml/report/templates/*.j2"))

MAIN_MODEL = SCALE.probing.models[0]

# Exhibits of answer-NLL curves, each with the probed model whose curves it shows.
CURVE_EXHIBITS = {exhibit: probed_model(exhibit, SCALE.probing.models) for exhibit in figures_of(SCALE.probing.models)}

# In the page's order.
PAGE = ["prop2.1", "fig2", "fig3", "fig5", "fig6", "fig12", "fig13", "fig14", "fig15", "fig16", "tab2"]
EXHIBITS = [exhibit for exhibit in PAGE if exhibit in CURVE_EXHIBITS or exhibit not in MODEL_NUMBER]

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
    take_lock()
