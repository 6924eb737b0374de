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
