"""Training: base models pretrained from scratch, then the outer loop's techniques, all runs of `raml.runs`.

A rule a batch of runs, which share a process: importing torch and TRL takes longer than many a run.
"""

from raml.runs import TRUNK, batches

BATCHES = batches(SCALE)


def folders(models):
    """The folders of models of one training seed."""
    return [f"<results>/models/seed{{seed}}/{model}" for model in models]


def files(models):
    """The files of models of one training seed, but for their weights."""
    return [file for folder in folders(models) for name, file in model_files(folder).items() if name != "weights"]


def weights(models):
    """The weights of models of one training seed."""
    return [f"{folder}/model.safetensors" for folder in folders(models)]


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
        return {"trajectories": rules.write_oracles.output.long, "rejected": rules.write_oracles.output.wrong}
    style = "short" if batch.runs[0].model.startswith("sft_short") else "long"
    return {"trajectories": rules.write_oracles.output[style]}


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


rule pretrain:
    input:
        **tokenizer_files("<results>/trajectories/tokenizer"),
        benchmarks="<results>/questions/benchmarks.parquet",
    output:
        **model_files(f"<results>/models/seed{{seed}}/{TRUNK}"),
    log:
        "<logs>/pretrain/seed{seed}.log",
    benchmark:
        "<benchmarks>/pretrain/seed{seed}.tsv"
    priority: 3  # everything of a seed waits for it
    threads: SCALE.pretraining.threads
    params:
        **step(
            "raml.training.pretrain",
            {"architecture": SCALE.architecture, "pretraining": SCALE.pretraining, "oracle": SCALE.oracle},
        ),
        tokenizer=subpath(input.tokenizer, parent=True),
        folder=subpath(output.weights, parent=True),
    message:
        "Pretrain what the base models share, seed {wildcards.seed}"
    shell:
        "python -m raml.training.pretrain --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --tokenizer {params.tokenizer} --benchmarks {input.benchmarks} --out {params.folder}"
        " > {log} 2>&1"


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
        expand(rules.pretrain.output, seed=SCALE.seeds),
        [expand(files, seed=SCALE.seeds) for batch in BATCHES for files in made(batch).values()],
    message:
        "Phase done: training"
