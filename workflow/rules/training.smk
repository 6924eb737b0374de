"""Training: the base models' last stage and the outer loop's techniques, all runs of `raml.runs`.

A rule a batch of runs, which share a process: importing torch and TRL takes longer than many a run.
"""

from raml.runs import batches

BATCHES = batches(SCALE)


def snapshots(batch):
    """Names of the models that a batch leaves on the way."""
    return [name for run in batch.runs for name in run.snapshots]


def made(batch):
    """What a batch makes: the models in the order of its runs, snapshots beside them, logs of the outer loop."""
    models = [run.model for run in batch.runs]
    logged = [] if batch.technique == "anneal" else [*models, *snapshots(batch)]
    return {
        "weights": weights(models),
        "snapshots": weights(snapshots(batch)),
        "others": files([*models, *snapshots(batch)]),
        "logs": [f"{folder}/training.jsonl" for folder in folders(logged)],
    }


def data(batch):
    """What a batch is trained on, by the name of the step's option."""
    if batch.technique == "anneal":
        return {"benchmarks": "<results>/questions/benchmarks.parquet"}
    if batch.technique == "grpo":
        return {"questions": "<results>/questions/train.parquet"}
    if batch.technique == "dpo":
        return {"trajectories": training_trajectories("long"), "rejected": training_trajectories("wrong")}
    style = "short" if batch.runs[0].model.startswith("sft_short") else "long"
    return {"trajectories": training_trajectories(style)}


def sections(batch):
    """The configuration of a batch: its runs and what they share."""
    runs = {"runs": [run.settings for run in batch.runs]}
    if batch.technique == "anneal":
        return {**runs, "pretraining": SCALE.pretraining, "oracle": SCALE.oracle}
    return {**runs, "hardware": SCALE.hardware}


def launcher(batch):
    """How the process of a batch is started, or its processes."""
    if batch.technique == "anneal" or SCALE.hardware.launcher is None:
        return "python -m"
    return (
        f"accelerate launch --config_file config/accelerate/{SCALE.hardware.launcher}.yaml"
        f" --num_processes {SCALE.hardware.processes} -m"
    )


for batch in BATCHES:

    rule:
        name:
            f"train_{batch.name}"
        input:
            **data(batch),
            starts=weights(run.start for run in batch.runs),
            start_files=files({run.start: None for run in batch.runs}),
        output:
            **made(batch),
        log:
            f"<logs>/train_{batch.name}/seed{{seed}}.log",
        benchmark:
            f"<benchmarks>/train_{batch.name}/seed{{seed}}.tsv"
        priority: 2 if batch.name in SCALE.models else 1  # what is probed and evaluated longest comes first
        threads: SCALE.pretraining.threads if batch.technique == "anneal" else SCALE.hardware.threads
        params:
            **step(f"raml.training.{batch.technique}", sections(batch)),
            launcher=launcher(batch),
            module=f"raml.training.{batch.technique}",
            data=lambda wildcards, input, names=list(data(batch)): " ".join(f"--{name} {input[name]}" for name in names),
            starts=lambda wildcards, input: [os.path.dirname(file) for file in input.starts],
            outs=lambda wildcards, output: [os.path.dirname(file) for file in output.weights],
            work="" if batch.technique == "anneal" else f"--work .cache/training/{SCALE.scale}",
        message:
            f"Train {', '.join(run.model for run in batch.runs)}, seed {{wildcards.seed}}"
        shell:
            "{params.launcher} {params.module} --scale {params.scale} --config {params.config:q}"
            " --seed {wildcards.seed} --starts {params.starts} {params.data} --outs {params.outs} {params.work}"
            " > {log} 2>&1"


rule training_phase:
    input:
        [expand(files, seed=SCALE.seeds) for batch in BATCHES for files in made(batch).values()],
    message:
        "Phase done: training"
