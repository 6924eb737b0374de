"""Evaluation: every model answers every benchmark; what it got right becomes metrics."""

SWEEPS = sampled_together(SCALE)

WRITING = {"engine": SCALE.engine, "sampling": SCALE.sampling}


# Main models that are ready at about the same time share a process.
TOGETHER = {
    "base": ["base"],
    "sft": [f"sft_{style}" for style in SCALE.sft],
    "policies": ["dpo", "zero_grpo", "sft_grpo"],
}


for group, models in TOGETHER.items():

    rule:
        name:
            f"sample_{group}"
        input:
            weights=weights(models),
            others=files(models),
            questions="<results>/questions/benchmarks.parquet",
        output:
            expand(SAMPLES, model=models, allow_missing=True),
        log:
            f"<logs>/sample_{group}/seed{{seed}}.log",
        benchmark:
            f"<benchmarks>/sample_{group}/seed{{seed}}.tsv"
        priority: 1  # the probes wait for it
        threads: SCALE.sampling.threads
        resources:
            gpu=SAMPLING_GPUS,
        params:
            **step(
                "raml.trajectories.sample",
                {**WRITING, "n": SCALE.evaluation.n, "kinds": None, "thinking": True},
            ),
            models=lambda wildcards, input: [os.path.dirname(file) for file in input.weights],
            writers=models,
            work=SHARDS,
        message:
            f"Sample {', '.join(models)}, seed {{wildcards.seed}}, on the benchmarks"
        shell:
            "python -m raml.trajectories.sample --scale {params.scale} --config {params.config:q}"
            " --seed {wildcards.seed} --models {params.models} --writers {params.writers}"
            " --questions {input.questions} --work {params.work} --outs {output}"
            " > {log} 2>&1"


rule sample_sweep:
    input:
        weights=lambda wildcards: weights(SWEEPS[wildcards.sweep]),
        others=lambda wildcards: files(SWEEPS[wildcards.sweep]),
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/evaluations/sweeps/seed{seed}/{sweep}.parquet",
    log:
        "<logs>/sample_sweep/seed{seed}/{sweep}.log",
    benchmark:
        "<benchmarks>/sample_sweep/seed{seed}/{sweep}.tsv"
    threads: SCALE.sampling.threads
    resources:
        gpu=SAMPLING_GPUS,
    params:
        **step(
            "raml.trajectories.sample",
            {**WRITING, "n": SCALE.sweeps.n, "kinds": SCALE.sweeps.kinds, "thinking": True},
        ),
        models=lambda wildcards, input: [os.path.dirname(file) for file in input.weights],
        writers=lambda wildcards: SWEEPS[wildcards.sweep],
        work=SHARDS,
        table=lambda wildcards, output: [output[0]] * len(SWEEPS[wildcards.sweep]),
    message:
        "Sample the sweep {wildcards.sweep}, seed {wildcards.seed}"
    shell:
        "python -m raml.trajectories.sample --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --models {params.models} --writers {params.writers} --questions {input.questions}"
        " --work {params.work} --outs {params.table}"
        " > {log} 2>&1"


rule score:
    input:
        samples=expand(SAMPLES, seed=SCALE.seeds, model=SCALE.models),
        sweeps=expand(rules.sample_sweep.output, seed=SCALE.seeds, sweep=SWEEPS),
        benchmarks="<results>/questions/benchmarks.parquet",
    output:
        "<results>/evaluations/evaluations.parquet",
    log:
        "<logs>/score.log",
    benchmark:
        "<benchmarks>/score.tsv"
    params:
        **step(
            "raml.evaluation.score",
            {"n": SCALE.evaluation.n, "sweep_n": SCALE.sweeps.n, "sweep_kinds": SCALE.sweeps.kinds},
        ),
    message:
        "Count correct samples"
    shell:
        "python -m raml.evaluation.score --scale {params.scale} --config {params.config:q}"
        " --samples {input.samples} --sweeps {input.sweeps} --benchmarks {input.benchmarks} --out {output}"
        " > {log} 2>&1"


rule sample_development:
    input:
        **model_files("<results>/models/seed{seed}/{model}"),
        questions="<results>/questions/development.parquet",
    output:
        "<results>/development/seed{seed}/{thinking}/{model}.parquet",
    log:
        "<logs>/sample_development/seed{seed}/{thinking}/{model}.log",
    benchmark:
        "<benchmarks>/sample_development/seed{seed}/{thinking}/{model}.tsv"
    wildcard_constraints:
        thinking="thinking|empty",
    threads: SCALE.sampling.threads
    resources:
        gpu=SAMPLING_GPUS,
    params:
        **step(
            "raml.trajectories.sample",
            lambda wildcards: {
                **WRITING,
                "n": 16,
                "kinds": None,
                "thinking": wildcards.thinking == "thinking",
            },
        ),
        model=subpath(input.weights, parent=True),
        work=SHARDS,
        writer=lambda wildcards: wildcards.model + ("_empty" if wildcards.thinking == "empty" else ""),
    message:
        "Sample {wildcards.model}, seed {wildcards.seed}, on the development questions"
    shell:
        "python -m raml.trajectories.sample --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --models {params.model} --writers {params.writer} --questions {input.questions} --work {params.work} --outs {output}"
        " > {log} 2>&1"


# Not part of `all`: what families and sizes were chosen by (docs/decisions.md).
rule measurability:
    input:
        questions="<results>/questions/development.parquet",
        samples=[
            f"<results>/development/seed{SCALE.seeds[0]}/{thinking}/{model}.parquet"
            for thinking, models in {"thinking": SCALE.models, "empty": [MAIN_MODEL]}.items()
            for model in models
        ],
    output:
        "<results>/tables/measurability.md",
    log:
        "<logs>/measurability.log",
    benchmark:
        "<benchmarks>/measurability.tsv"
    params:
        **step("raml.evaluation.measurability", {}),
    message:
        "Accuracy on the development questions"
    shell:
        "python -m raml.evaluation.measurability --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --samples {input.samples} --out {output}"
        " > {log} 2>&1"
