"""Reasoning efficiency (Figure 11): answers after all, part or a summary of the thinking of sampled trajectories."""

PROGRAM = SCALE.efficiency.summariser == "program"
SUMMARISER = {} if PROGRAM else model_files("<results>/models/summariser")

# One model after the other, each in its engine.
ENGINES = [SCALE.engine, *([] if PROGRAM else [SCALE.efficiency.summariser.engine])]
THREADS = [SCALE.efficiency.threads, *([] if PROGRAM else [SCALE.efficiency.summariser.sampling.threads])]

if not PROGRAM:

    rule fetch_summariser:
        output:
            **SUMMARISER,
        log:
            "<logs>/fetch_summariser.log",
        benchmark:
            "<benchmarks>/fetch_summariser.tsv"
        params:
            **step("raml.trajectories.fetch", address(SCALE.efficiency.summariser)),
            folder=subpath(output.weights, parent=True),
        message:
            "Fetch the model that summarises trajectories"
        shell:
            "HF_HUB_OFFLINE=0 python -m raml.trajectories.fetch --scale {params.scale} --config {params.config:q}"
            " --outs {params.folder}"
            " > {log} 2>&1"


rule efficiency:
    input:
        weights=weights(SCALE.efficiency.models),
        others=files(SCALE.efficiency.models),
        samples=expand(SAMPLES, model=SCALE.efficiency.models, allow_missing=True),
        questions="<results>/questions/benchmarks.parquet",
        summariser=[file for name, file in SUMMARISER.items() if name == "weights"],
        summariser_files=[file for name, file in SUMMARISER.items() if name != "weights"],
    output:
        "<results>/evaluations/efficiency/seed{seed}.parquet",
    log:
        "<logs>/efficiency/seed{seed}.log",
    benchmark:
        "<benchmarks>/efficiency/seed{seed}.tsv"
    threads: max(THREADS)
    resources:
        gpu=max(engine.tensor_parallel for engine in ENGINES) if SCALE.device.kind == "gpu" else 0,
    params:
        **step(
            "raml.trajectories.efficiency",
            {"engine": SCALE.engine, "sampling": SCALE.sampling, "efficiency": SCALE.efficiency},
        ),
        work=SHARDS,
        models=lambda wildcards, input: [os.path.dirname(file) for file in input.weights],
        writers=SCALE.efficiency.models,
        summariser=lambda wildcards, input: [
            word for file in input.summariser for word in ("--summariser", os.path.dirname(file))
        ],
    message:
        "Answers after budgets and summaries, seed {wildcards.seed}"
    shell:
        "python -m raml.trajectories.efficiency --scale {params.scale} --config {params.config:q}"
        " --seed {wildcards.seed} --models {params.models} --writers {params.writers} --samples {input.samples}"
        " --questions {input.questions} {params.summariser} --work {params.work} --out {output}"
        " > {log} 2>&1"
