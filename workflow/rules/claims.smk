"""Claims and report: what the measurements decide, as verdicts, figures and one page."""


rule decide:
    input:
        claims="config/claims.yaml",
        reported="config/reported.yaml",
        evaluations=rules.score.output,
        curves=expand(rules.probe.output, seed=SCALE.seeds),
    output:
        "<results>/claims.json",
    log:
        "<logs>/decide.log",
    benchmark:
        "<benchmarks>/decide.tsv"
    params:
        **step("raml.claims.decide", SCALE.evaluation),
    message:
        "Decide the claims"
    shell:
        "python -m raml.claims.decide --scale {params.scale} --config {params.config:q}"
        " --claims {input.claims} --reported {input.reported} --evaluations {input.evaluations}"
        " --curves {input.curves} --out {output}"
        " > {log} 2>&1"


rule draw_curves:
    input:
        questions="<results>/questions/benchmarks.parquet",
        tokenizer=rules.build_tokenizer.output.tokenizer,
        curves=expand(rules.probe.output, seed=SCALE.seeds),
    output:
        figure="<results>/figures/{exhibit}.svg",
        exhibit="<results>/figures/{exhibit}.json",
    log:
        "<logs>/draw_curves/{exhibit}.log",
    benchmark:
        "<benchmarks>/draw_curves/{exhibit}.tsv"
    wildcard_constraints:
        exhibit="fig3|fig16",
    params:
        **step("raml.report.{exhibit}", {"evaluation": SCALE.evaluation, "probing": SCALE.probing}),
    message:
        "Draw {wildcards.exhibit}"
    shell:
        "python -m raml.report.{wildcards.exhibit} --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {input.tokenizer} --curves {input.curves}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule tab2:
    input:
        metrics=rules.summarise.output.metrics,
        reported="config/reported.yaml",
        weights=f"<results>/models/seed{SCALE.seeds[0]}/base/model.safetensors",
    output:
        figure="<results>/figures/tab2.svg",
        exhibit="<results>/figures/tab2.json",
        markdown="<results>/tables/tab2.md",
    log:
        "<logs>/tab2.log",
    benchmark:
        "<benchmarks>/tab2.tsv"
    params:
        **step("raml.report.tab2", SCALE.evaluation),
        model=subpath(input.weights, parent=True),
    message:
        "Draw tab2"
    shell:
        "python -m raml.report.tab2 --scale {params.scale} --config {params.config:q}"
        " --metrics {input.metrics} --reported {input.reported} --model {params.model}"
        " --figure {output.figure} --exhibit {output.exhibit} --markdown {output.markdown}"
        " > {log} 2>&1"


rule build_report:
    input:
        claims=rules.decide.output,
        lock="requirements/core.lock",
        templates=TEMPLATES,
        exhibits=expand("<results>/figures/{exhibit}.json", exhibit=EXHIBITS),
        figures=expand("<results>/figures/{exhibit}.svg", exhibit=EXHIBITS),
        weights=expand("<results>/models/seed{seed}/{model}/model.safetensors", seed=SCALE.seeds, model=SCALE.models),
    output:
        "<results>/report/index.html",
    log:
        "<logs>/build_report.log",
    benchmark:
        "<benchmarks>/build_report.tsv"
    params:
        **step("raml.report.build", SCALE),
        models=lambda wildcards, input: [os.path.dirname(path) for path in input.weights],
    message:
        "Build the page"
    shell:
        "python -m raml.report.build --scale {params.scale} --config {params.config:q}"
        " --claims {input.claims} --lock {input.lock} --exhibits {input.exhibits} --figures {input.figures}"
        " --models {params.models} --out {output}"
        " > {log} 2>&1"


rule analysis_phase:
    input:
        expand(rules.sample.output, seed=SCALE.seeds, model=SCALE.models),
        rules.score.output,
        rules.summarise.output,
        expand(rules.probe.output, seed=SCALE.seeds),
        rules.decide.output,
        expand(rules.draw_curves.output, exhibit=["fig3", "fig16"]),
        rules.tab2.output,
        rules.build_report.output,
    message:
        "Phase done: analysis"
