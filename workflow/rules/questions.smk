"""Questions: verifiable, split into train and benchmarks, disjoint."""


rule build_questions:
    output:
        train="<results>/questions/train.parquet",
        development="<results>/questions/development.parquet",
        benchmarks="<results>/questions/benchmarks.parquet",
    log:
        "<logs>/build_questions.log",
    benchmark:
        "<benchmarks>/build_questions.tsv"
    params:
        **step("raml.questions.build", SCALE.questions),
    message:
        "Draw the training and development questions and the benchmarks"
    shell:
        "python -m raml.questions.build --scale {params.scale} --config {params.config:q}"
        " --train {output.train} --development {output.development} --benchmarks {output.benchmarks}"
        " > {log} 2>&1"


rule questions_phase:
    input:
        rules.build_questions.output,
    message:
        "Phase done: questions"
