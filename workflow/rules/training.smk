"""Training: a base model pretrained from scratch, then fine-tuned on oracle trajectories of one style."""


rule pretrain:
    input:
        **tokenizer_files("<results>/trajectories/tokenizer"),
        benchmarks="<results>/questions/benchmarks.parquet",
    output:
        **model_files("<results>/models/seed{seed}/base"),
    log:
        "<logs>/pretrain/seed{seed}.log",
    benchmark:
        "<benchmarks>/pretrain/seed{seed}.tsv"
    threads: SCALE.pretraining.threads
    params:
        **step(
            "raml.training.pretrain",
            {"architecture": SCALE.architecture, "pretraining": SCALE.pretraining, "oracle": SCALE.oracle},
        ),
        tokenizer=subpath(input.tokenizer, parent=True),
        folder=subpath(output.weights, parent=True),
    message:
        "Pretrain the base model, seed {wildcards.seed}"
    shell:
        "python -m raml.training.pretrain --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --tokenizer {params.tokenizer} --benchmarks {input.benchmarks} --out {params.folder}"
        " > {log} 2>&1"


rule sft:
    input:
        **model_files("<results>/models/seed{seed}/base"),
        trajectories="<results>/trajectories/oracle_{style}.parquet",
    output:
        **model_files("<results>/models/seed{seed}/sft_{style}"),
    log:
        "<logs>/sft/seed{seed}/{style}.log",
    benchmark:
        "<benchmarks>/sft/seed{seed}/{style}.tsv"
    priority: 1  # before samples of the base: what comes after the models waits for the last of them
    threads: lambda wildcards: SCALE.sft[wildcards.style].threads
    params:
        **step("raml.training.sft", lambda wildcards: SCALE.sft[wildcards.style]),
        base=subpath(input.weights, parent=True),
        folder=subpath(output.weights, parent=True),
    message:
        "Fine-tune on {wildcards.style} trajectories, seed {wildcards.seed}"
    shell:
        "python -m raml.training.sft --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --base {params.base} --trajectories {input.trajectories} --out {params.folder}"
        " > {log} 2>&1"


rule training_phase:
    input:
        expand(rules.pretrain.output, seed=SCALE.seeds),
        expand(rules.sft.output, seed=SCALE.seeds, style=SCALE.sft),
    message:
        "Phase done: training"
