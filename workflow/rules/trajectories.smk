"""Trajectories: the micro tokenizer and the oracle programs that write with it."""


rule build_tokenizer:
    output:
        **tokenizer_files("<results>/trajectories/tokenizer"),
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


rule write_oracles:
    input:
        **tokenizer_files("<results>/trajectories/tokenizer"),
        questions="<results>/questions/train.parquet",
    output:
        short="<results>/trajectories/oracle_short.parquet",
        long="<results>/trajectories/oracle_long.parquet",
        wrong="<results>/trajectories/oracle_wrong.parquet",
    log:
        "<logs>/write_oracles.log",
    benchmark:
        "<benchmarks>/write_oracles.tsv"
    params:
        **step("raml.trajectories.oracle", SCALE.oracle),
        tokenizer=subpath(input.tokenizer, parent=True),
    message:
        "Write the oracles' trajectories: short, long, wrong"
    shell:
        "python -m raml.trajectories.oracle --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {params.tokenizer}"
        " --short {output.short} --long {output.long} --wrong {output.wrong}"
        " > {log} 2>&1"


rule trajectories_phase:
    input:
        rules.build_tokenizer.output,
        rules.write_oracles.output,
    message:
        "Phase done: trajectories"
