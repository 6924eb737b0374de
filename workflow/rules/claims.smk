"""Claims and report: what the measurements decide, as verdicts, figures and a report."""

from raml.report.parts import part_names

# The files of the report's viewer of trajectories.
ASKED = (SCALE.published or SCALE.questions).benchmarks
PARTS = part_names(SCALE.seeds, SCALE.probing.models, {name: ASKED[name].n for name in SCALE.probing.benchmarks})


rule decide:
    input:
        **PROBES,
        claims="config/claims.yaml",
        reported="config/reported.yaml",
        evaluations=rules.score.output,
        answers=expand(rules.efficiency.output, seed=SCALE.seeds),
    output:
        report("<results>/claims.json", caption="../report/claims.rst", category="Claims", labels={"what": "verdicts"}),
    log:
        "<logs>/decide.log",
    benchmark:
        "<benchmarks>/decide.tsv"
    params:
        **step(
            "raml.claims.decide",
            {
                "evaluation": SCALE.evaluation,
                "figures": CURVE_EXHIBITS,
                "series": series(SCALE),
                "regimes": regimes(SCALE),
                "trajectories": SCALE.efficiency.n,
                "published": SCALE.published is not None,
            },
        ),
        probes=lambda wildcards, input: " ".join(f"--{name} {input[name]}" for name in PROBES),
    message:
        "Decide the claims"
    shell:
        "python -m raml.claims.decide --scale {params.scale} --config {params.config:q}"
        " --claims {input.claims} --reported {input.reported} --evaluations {input.evaluations}"
        " --answers {input.answers} {params.probes} --out {output}"
        " > {log} 2>&1"


# A list cannot be compared by `dvc metrics`, a mapping can.
rule claim_metrics:
    input:
        rules.decide.output,
    output:
        "<results>/tables/claims.json",
    log:
        "<logs>/claim_metrics.log",
    benchmark:
        "<benchmarks>/claim_metrics.tsv"
    params:
        **step("raml.claims.dvc_metrics", {}),
    message:
        "Verdicts and numbers of the claims as metrics"
    shell:
        "python -m raml.claims.dvc_metrics --scale {params.scale} --config {params.config:q}"
        " --claims {input} --out {output}"
        " > {log} 2>&1"


# After the claims, so that it is written again with them: the machine that measured.
rule environment:
    input:
        claims=rules.decide.output,
        lock="requirements/core.lock",
    output:
        "<results>/environment.json",
    log:
        "<logs>/environment.log",
    benchmark:
        "<benchmarks>/environment.tsv"
    params:
        **step("raml.lineage.environment", {}),
    message:
        "Write down machine and packages"
    shell:
        "python -m raml.lineage.environment --scale {params.scale} --config {params.config:q}"
        " --lock {input.lock} --claims {input.claims} --out {output}"
        " > {log} 2>&1"


rule draw_curves:
    input:
        questions="<results>/questions/benchmarks.parquet",
        tokenizer=f"{TOKENIZER}/tokenizer.json",
        curves=lambda wildcards: expand(rules.probe.output, seed=SCALE.seeds, model=CURVE_EXHIBITS[wildcards.exhibit]),
        samples=lambda wildcards: expand(SAMPLES, seed=SCALE.seeds, model=CURVE_EXHIBITS[wildcards.exhibit]),
    output:
        figure=shown("<results>/figures/{exhibit}.svg", "{exhibit}"),
        exhibit="<results>/figures/{exhibit}.json",
    log:
        "<logs>/draw_curves/{exhibit}.log",
    benchmark:
        "<benchmarks>/draw_curves/{exhibit}.tsv"
    wildcard_constraints:
        exhibit="|".join(CURVE_EXHIBITS),
    params:
        **step("raml.report.{exhibit}", {"evaluation": SCALE.evaluation, "probing": SCALE.probing}),
    message:
        "Draw {wildcards.exhibit}"
    shell:
        "python -m raml.report.{wildcards.exhibit} --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {input.tokenizer} --curves {input.curves}"
        " --samples {input.samples}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule fig2:
    input:
        questions="<results>/questions/benchmarks.parquet",
        curves=expand(rules.probe.output, seed=SCALE.seeds, model=MAIN_MODEL),
        landscape=PROBES["landscape"],
    output:
        figure=shown("<results>/figures/fig2.svg", "fig2"),
        exhibit="<results>/figures/fig2.json",
    log:
        "<logs>/fig2.log",
    benchmark:
        "<benchmarks>/fig2.tsv"
    params:
        **step(
            "raml.report.fig2",
            {"evaluation": SCALE.evaluation, "probing": SCALE.probing, "landscape": SCALE.landscape},
        ),
    message:
        "Draw fig2"
    shell:
        "python -m raml.report.fig2 --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --curves {input.curves} --landscape {input.landscape}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule fig6:
    input:
        changes=PROBES["roles"],
        reported="config/reported.yaml",
    output:
        figure=shown("<results>/figures/fig6.svg", "fig6"),
        exhibit="<results>/figures/fig6.json",
    log:
        "<logs>/fig6.log",
    benchmark:
        "<benchmarks>/fig6.tsv"
    params:
        **step(
            "raml.report.fig6",
            {"evaluation": SCALE.evaluation, "probing": SCALE.probing, "token_roles": SCALE.token_roles},
        ),
    message:
        "Draw fig6"
    shell:
        "python -m raml.report.fig6 --scale {params.scale} --config {params.config:q}"
        " --changes {input.changes} --reported {input.reported}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule prop21:
    input:
        blocks=PROBES["blocks"],
        updates=PROBES["updates"],
    output:
        figure=shown("<results>/figures/prop2.1.svg", "prop2.1"),
        exhibit="<results>/figures/prop2.1.json",
    log:
        "<logs>/prop21.log",
    benchmark:
        "<benchmarks>/prop21.tsv"
    params:
        **step(
            "raml.report.prop21",
            {"evaluation": SCALE.evaluation, "probing": SCALE.probing, "updates": SCALE.updates},
        ),
    message:
        "Draw prop2.1"
    shell:
        "python -m raml.report.prop21 --scale {params.scale} --config {params.config:q}"
        " --blocks {input.blocks} --updates {input.updates}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule report_trajectories:
    input:
        templates=TEMPLATES,
        questions="<results>/questions/benchmarks.parquet",
        tokenizer=f"{TOKENIZER}/tokenizer.json",
        curves=expand(rules.probe.output, seed=SCALE.seeds, model=SCALE.probing.models),
        samples=expand(SAMPLES, seed=SCALE.seeds, model=SCALE.probing.models),
    output:
        page="<results>/report/trajectories.html",
        parts=expand("<results>/report/trajectories/{part}.js", part=PARTS),
    log:
        "<logs>/report_trajectories.log",
    benchmark:
        "<benchmarks>/report_trajectories.tsv"
    params:
        **step("raml.report.trajectories", {"probing": SCALE.probing, "exhibits": EXHIBITS}),
    message:
        "Lay out the trajectories"
    shell:
        "python -m raml.report.trajectories --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --tokenizer {input.tokenizer} --curves {input.curves}"
        " --samples {input.samples} --page {output.page} --parts {output.parts}"
        " > {log} 2>&1"


rule build_report:
    input:
        claims=rules.decide.output,
        lock="requirements/core.lock",
        machine=rules.environment.output,
        templates=TEMPLATES,
        exhibits=expand("<results>/figures/{exhibit}.json", exhibit=EXHIBITS),
        figures=expand("<results>/figures/{exhibit}.svg", exhibit=EXHIBITS),
        weights=expand("<results>/models/seed{seed}/{model}/model.safetensors", seed=SCALE.seeds, model=SCALE.models),
    output:
        index=report(
            "<results>/report/index.html", caption="../report/page.rst", category="Claims", labels={"what": "report"}
        ),
        provenance="<results>/report/provenance.html",
        pages=expand("<results>/report/{exhibit}.html", exhibit=EXHIBITS),
    log:
        "<logs>/build_report.log",
    benchmark:
        "<benchmarks>/build_report.tsv"
    params:
        **step("raml.report.build", SCALE),
        models=lambda wildcards, input: [os.path.dirname(path) for path in input.weights],
    message:
        "Build the report"
    shell:
        "python -m raml.report.build --scale {params.scale} --config {params.config:q}"
        " --claims {input.claims} --lock {input.lock} --machine {input.machine}"
        " --exhibits {input.exhibits} --figures {input.figures}"
        " --models {params.models} --index {output.index} --origins {output.provenance} --pages {output.pages}"
        " > {log} 2>&1"


# What git keeps of the results, as a research object.
rule crate:
    input:
        files=[
            rules.questions_phase.input,
            rules.decide.output,
            rules.claim_metrics.output,
            rules.environment.output,
            rules.score.output,
            rules.summarise.output,
            expand("<results>/figures/{exhibit}.{kind}", exhibit=EXHIBITS, kind=["svg", "json"]),
            OUTER_LOOP,
            rules.build_report.output,
            rules.report_trajectories.output,
        ],
        environment=rules.environment.output,
        citation="CITATION.cff",
    output:
        "<results>/ro-crate-metadata.json",
    log:
        "<logs>/crate.log",
    benchmark:
        "<benchmarks>/crate.tsv"
    params:
        **step("raml.lineage.crate", SCALE),
    message:
        "Describe the results as a research object"
    shell:
        "python -m raml.lineage.crate --scale {params.scale} --config {params.config:q}"
        " --citation {input.citation} --environment {input.environment} --files {input.files} --out {output}"
        " > {log} 2>&1"


rule analysis_phase:
    input:
        rules.score.input,
        rules.score.output,
        rules.summarise.output,
        *PROBES.values(),
        rules.decide.output,
        rules.claim_metrics.output,
        rules.environment.output,
        expand(rules.draw_curves.output, exhibit=CURVE_EXHIBITS),
        rules.fig2.output,
        rules.fig6.output,
        rules.prop21.output,
        rules.fig11.output,
        OUTER_LOOP,
        rules.report_trajectories.output,
        rules.build_report.output,
        rules.crate.output,
    message:
        "Phase done: analysis"
