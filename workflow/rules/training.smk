"""Training: the base models' last stage and the outer loop's techniques, all runs of `raml.runs`.

A rule a batch of runs, which share a process: importing torch and TRL takes longer than many a run.
"""

for batch in BATCHES:

    rule:
        name:
            f"train_{batch.name}"
        input:
            **data(batch),
            starts=weights(run.start for run in batch.runs),
            start_files=files({run.start: None for run in batch.runs}),
            launcher=launcher_file(batch),
        output:
            **made(batch),
        log:
            f"<logs>/train_{batch.name}/seed{{seed}}.log",
        benchmark:
            f"<benchmarks>/train_{batch.name}/seed{{seed}}.tsv"
        priority: 2 if batch.name in SCALE.models else 1  # what is probed and evaluated longest comes first
        threads: SCALE.pretraining.threads if batch.technique == "anneal" else SCALE.hardware.threads * processes(batch)
        resources:
            gpu=0 if batch.technique == "anneal" else GPUS,
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
