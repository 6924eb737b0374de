"""Probing: what each token of a trajectory does to the answer's loss, by four instruments."""


rule probe:
    input:
        **model_files("<results>/models/seed{seed}/{model}"),
        samples=SAMPLES,
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/probes/seed{seed}/{model}/curves.parquet",
    log:
        "<logs>/probe/seed{seed}/{model}.log",
    benchmark:
        "<benchmarks>/probe/seed{seed}/{model}.tsv"
    threads: SCALE.probing.threads
    resources:
        gpu=GPUS,
    params:
        **step("raml.probing.probe", {"probing": SCALE.probing}),
        model=subpath(input.weights, parent=True),
    message:
        "Probe {wildcards.model}, seed {wildcards.seed}, along its own trajectories"
    shell:
        "python -m raml.probing.probe --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --model {params.model} --writer {wildcards.model} --samples {input.samples} --questions {input.questions}"
        " --out {output}"
        " > {log} 2>&1"


rule token_roles:
    input:
        curves=f"<results>/probes/seed{{seed}}/{MAIN_MODEL}/curves.parquet",
        tokenizer=f"{TOKENIZER}/tokenizer.json",
    output:
        "<results>/probes/seed{seed}/roles.parquet",
    log:
        "<logs>/token_roles/seed{seed}.log",
    benchmark:
        "<benchmarks>/token_roles/seed{seed}.tsv"
    params:
        **step("raml.probing.roles", {"probing": SCALE.probing, "token_roles": SCALE.token_roles}),
    message:
        "What tokens of each role do, seed {wildcards.seed}"
    shell:
        "python -m raml.probing.roles --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --curves {input.curves} --tokenizer {input.tokenizer} --out {output}"
        " > {log} 2>&1"


rule landscape:
    input:
        **model_files(f"<results>/models/seed{{seed}}/{MAIN_MODEL}"),
        curves=f"<results>/probes/seed{{seed}}/{MAIN_MODEL}/curves.parquet",
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/probes/seed{seed}/landscape.parquet",
    log:
        "<logs>/landscape/seed{seed}.log",
    benchmark:
        "<benchmarks>/landscape/seed{seed}.tsv"
    threads: SCALE.landscape.threads
    resources:
        gpu=GPUS,
    params:
        **step("raml.probing.landscapes", {"probing": SCALE.probing, "landscape": SCALE.landscape}),
        model=subpath(input.weights, parent=True),
    message:
        "The landscape around {MAIN_MODEL}, seed {wildcards.seed}"
    shell:
        "python -m raml.probing.landscapes --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --model {params.model} --curves {input.curves} --questions {input.questions} --out {output}"
        " > {log} 2>&1"


rule weight_updates:
    input:
        **model_files(f"<results>/models/seed{{seed}}/{MAIN_MODEL}"),
        samples=expand(SAMPLES, model=MAIN_MODEL, allow_missing=True),
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/probes/seed{seed}/{kind}.parquet",
    log:
        "<logs>/weight_updates/seed{seed}/{kind}.log",
    benchmark:
        "<benchmarks>/weight_updates/seed{seed}/{kind}.tsv"
    wildcard_constraints:
        kind="updates|blocks",
    threads: SCALE.updates.threads
    resources:
        gpu=GPUS,
    params:
        **step("raml.probing.{kind}", {"probing": SCALE.probing, "updates": SCALE.updates}),
        model=subpath(input.weights, parent=True),
    message:
        "Trajectories as weight updates ({wildcards.kind}), seed {wildcards.seed}"
    shell:
        "python -m raml.probing.{wildcards.kind} --scale {params.scale} --config {params.config:q}"
        " --seed {wildcards.seed} --model {params.model} --samples {input.samples} --questions {input.questions}"
        " --out {output}"
        " > {log} 2>&1"


rule outer_loss:
    input:
        weights=weights(SCALE.models),
        others=files(SCALE.models),
        samples=expand(SAMPLES, model=SCALE.models, allow_missing=True),
        oracles=HELD_OUT,
        questions="<results>/questions/benchmarks.parquet",
    output:
        "<results>/probes/seed{seed}/outer.parquet",
    log:
        "<logs>/outer_loss/seed{seed}.log",
    benchmark:
        "<benchmarks>/outer_loss/seed{seed}.tsv"
    threads: SCALE.probing.threads
    resources:
        gpu=GPUS,
    params:
        **step("raml.probing.outer", {"probing": SCALE.probing}),
        models=lambda wildcards, input: [os.path.dirname(file) for file in input.weights],
        writers=SCALE.models,
    message:
        "The outer loop's loss of all techniques, seed {wildcards.seed}"
    shell:
        "python -m raml.probing.outer --scale {params.scale} --config {params.config:q} --seed {wildcards.seed}"
        " --models {params.models} --writers {params.writers} --samples {input.samples} --oracles {input.oracles}"
        " --questions {input.questions} --out {output}"
        " > {log} 2>&1"


PROBES = {
    "curves": expand(rules.probe.output, seed=SCALE.seeds, model=SCALE.probing.models),
    "roles": expand(rules.token_roles.output, seed=SCALE.seeds),
    "landscape": expand(rules.landscape.output, seed=SCALE.seeds),
    "updates": expand(rules.weight_updates.output, seed=SCALE.seeds, kind="updates"),
    "outer": expand(rules.outer_loss.output, seed=SCALE.seeds),
    "blocks": expand(rules.weight_updates.output, seed=SCALE.seeds, kind="blocks"),
}
