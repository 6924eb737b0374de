"""Probing: the answer's NLL along the probed model's own trajectories."""


rule probe:
    input:
        **model_files(f"<results>/models/seed{{seed}}/{SCALE.probing.model}"),
        samples=f"<results>/evaluations/samples/seed{{seed}}/{SCALE.probing.model}.parquet",
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/probes/seed{seed}/curves.parquet",
    log:
        "<logs>/probe/seed{seed}.log",
    benchmark:
        "<benchmarks>/probe/seed{seed}.tsv"
    threads: SCALE.probing.threads
    params:
        **step("raml.probing.probe", {"probing": SCALE.probing}),
        model=subpath(input.weights, parent=True),
    message:
        "Probe {SCALE.probing.model}, seed {wildcards.seed}"
    shell:
        "python -m raml.probing.probe --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --model {params.model} --samples {input.samples} --questions {input.questions} --out {output}"
        " > {log} 2>&1"
