"""The published base model of scales that do not pretrain one."""


rule fetch_base:
    output:
        weights=expand(weights(["base"]), seed=SCALE.seeds),
        others=expand(files(["base"]), seed=SCALE.seeds),
    log:
        "<logs>/fetch_base.log",
    benchmark:
        "<benchmarks>/fetch_base.tsv"
    params:
        **step("raml.trajectories.fetch", SCALE.base),
        folders=lambda wildcards, output: [os.path.dirname(file) for file in output.weights],
    message:
        "Fetch the base model, the same for all seeds"
    shell:
        "HF_HUB_OFFLINE=0 python -m raml.trajectories.fetch --scale {params.scale} --config {params.config:q}"
        " --outs {params.folders}"
        " > {log} 2>&1"
