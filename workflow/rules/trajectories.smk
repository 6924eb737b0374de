"""Trajectories of generated questions, which oracle programs write in the tokens of the trained models."""

FEW_VARIANTS = SCALE.oracle.model_copy(update={"variants_per_question": SCALE.probing.trajectories_per_question})


rule write_oracles:
    input:
        **tokenizer_files(TOKENIZER),
        questions="<results>/questions/train.parquet",
    output:
        short=training_trajectories("short"),
        long=training_trajectories("long"),
        wrong=training_trajectories("wrong"),
    log:
        "<logs>/write_oracles.log",
    benchmark:
        "<benchmarks>/write_oracles.tsv"
    params:
        **step("raml.trajectories.oracle", {"oracle": SCALE.oracle, "styles": ["short", "long", "wrong"]}),
        tokenizer=subpath(input.tokenizer, parent=True),
    message:
        "Write the oracles' trajectories: short, long, wrong"
    shell:
        "python -m raml.trajectories.oracle --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {params.tokenizer}"
        " --outs {output.short} {output.long} {output.wrong}"
        " > {log} 2>&1"


rule write_held_out:
    input:
        **tokenizer_files(TOKENIZER),
        questions="<results>/questions/benchmarks.parquet",
    output:
        HELD_OUT,
    log:
        "<logs>/write_held_out.log",
    benchmark:
        "<benchmarks>/write_held_out.tsv"
    params:
        **step("raml.trajectories.oracle", {"oracle": FEW_VARIANTS, "styles": ["long"]}),
        tokenizer=subpath(input.tokenizer, parent=True),
    message:
        "Write long trajectories of the benchmark questions"
    shell:
        "python -m raml.trajectories.oracle --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {params.tokenizer} --outs {output}"
        " > {log} 2>&1"


rule trajectories_phase:
    input:
        tokenizer_files(TOKENIZER).values(),
        rules.write_oracles.output,
        rules.write_held_out.output,
    message:
        "Phase done: trajectories"
