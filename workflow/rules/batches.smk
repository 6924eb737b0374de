"""What a batch of training runs reads and makes, for the rules of the outer loop and its exhibits."""

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


def launcher_file(batch):
    """How accelerate starts the processes of a batch; none for a plain process."""
    if batch.technique == "anneal" or SCALE.hardware.launcher is None:
        return []
    return [f"config/accelerate/{SCALE.hardware.launcher}.yaml"]


def processes(batch):
    """Of a batch."""
    return 1 if batch.technique == "anneal" else SCALE.hardware.processes


def sections(batch):
    """The configuration of a batch: its runs and what they share."""
    runs = {"runs": [run.settings for run in batch.runs]}
    if batch.technique == "anneal":
        return {**runs, "pretraining": SCALE.pretraining, "oracle": SCALE.oracle}
    return {**runs, "hardware": SCALE.hardware}


def launcher(batch):
    """How the process of a batch is started, or its processes."""
    if not launcher_file(batch):
        return "python -m"
    return (
        f"python -m raml.training.launch --config_file {launcher_file(batch)[0]} --num_processes {processes(batch)} -m"
    )
