"""Figure 4: reasoning models that others have trained, evaluated like our own; scales without `community` have none."""

import re


wildcard_constraints:
    community="|".join(map(re.escape, SCALE.community)),


rule fetch_community:
    output:
        **model_files("<results>/models/community/{community}"),
    log:
        "<logs>/fetch_community/{community}.log",
    benchmark:
        "<benchmarks>/fetch_community/{community}.tsv"
    params:
        **step("raml.trajectories.fetch", lambda wildcards: address(SCALE.community[wildcards.community])),
        folder=subpath(output.weights, parent=True),
    message:
        "Fetch {wildcards.community}"
    shell:
        "HF_HUB_OFFLINE=0 python -m raml.trajectories.fetch --scale {params.scale} --config {params.config:q}"
        " --outs {params.folder}"
        " > {log} 2>&1"


rule sample_community:
    input:
        **model_files("<results>/models/community/{community}"),
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/evaluations/community/{community}.parquet",
    log:
        "<logs>/sample_community/{community}.log",
    benchmark:
        "<benchmarks>/sample_community/{community}.tsv"
    threads: SCALE.sampling.threads
    resources:
        gpu=lambda wildcards: (
            SCALE.community[wildcards.community].engine.tensor_parallel if SCALE.device.kind == "gpu" else 0
        ),
    params:
        **step(
            "raml.trajectories.sample",
            lambda wildcards: {
                "engine": SCALE.community[wildcards.community].engine,
                "sampling": SCALE.sampling,
                "n": SCALE.evaluation.n,
                "kinds": None,
                "thinking": True,
            },
        ),
        model=subpath(input.weights, parent=True),
        work=SHARDS,
    message:
        "Sample {wildcards.community} on the benchmarks"
    shell:
        "python -m raml.trajectories.sample --scale {params.scale} --config {params.config:q}"
        " --models {params.model} --writers {wildcards.community} --questions {input.questions}"
        " --work {params.work} --outs {output}"
        " > {log} 2>&1"


rule score_community:
    input:
        samples=expand(rules.sample_community.output, community=SCALE.community),
        benchmarks="<results>/questions/benchmarks.parquet",
    output:
        "<results>/evaluations/community.parquet",
    log:
        "<logs>/score_community.log",
    benchmark:
        "<benchmarks>/score_community.tsv"
    params:
        **step(
            "raml.evaluation.score",
            {"n": SCALE.evaluation.n, "sweep_n": SCALE.sweeps.n, "sweep_kinds": SCALE.sweeps.kinds},
        ),
    message:
        "Count correct samples of community models"
    shell:
        "python -m raml.evaluation.score --scale {params.scale} --config {params.config:q}"
        " --samples {input.samples} --benchmarks {input.benchmarks} --out {output}"
        " > {log} 2>&1"
