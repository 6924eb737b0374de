"""Pretraining from scratch: the tokenizer, and what the base models of a seed share."""

from raml.runs import TRUNK


rule build_tokenizer:
    output:
        **tokenizer_files(TOKENIZER),
    log:
        "<logs>/build_tokenizer.log",
    benchmark:
        "<benchmarks>/build_tokenizer.tsv"
    params:
        **step("raml.trajectories.tokenizer", {}),
        folder=subpath(output.tokenizer, parent=True),
    message:
        "Build the word-level tokenizer"
    shell:
        "python -m raml.trajectories.tokenizer --scale {params.scale} --config {params.config:q}"
        " --out {params.folder}"
        " > {log} 2>&1"


rule pretrain:
    input:
        **tokenizer_files(TOKENIZER),
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
