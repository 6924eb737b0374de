"""From measurements to claims and the report: quantities, effects, verdicts, exhibits, the site."""

from raml.quantities.job import job_of
from raml.report.listing import exhibits_of, raw_exhibits
from raml.report.viewer_chunks import part_names


report: "../report/workflow.rst"


# Exhibits in the page's order; those that show single trajectories need more than the effects.
EXHIBITS = exhibits_of(SCALE)
RAW = raw_exhibits(SCALE)
DRAWN = [exhibit for exhibit in EXHIBITS if exhibit not in RAW]
MARKDOWN = ["tab1", "tab2", "tab3", "fig7"]

TRAINED = [run.model for batch in BATCHES for run in batch.runs if run.model in SCALE.models and run.model != "base"]
ENTRIES = sorted(glob("src/raml/report/exhibits/**/*.j2", recursive=True))
BENCHMARKS = "<results>/questions/benchmarks.parquet"

# The files of the report's viewer of trajectories.
ASKED = (SCALE.published or SCALE.questions).benchmarks
CHUNKS = part_names(SCALE.seeds, SCALE.probing.models, {name: ASKED[name].n for name in SCALE.probing.benchmarks})


rule quantities:
    input:
        **PROBES,
        questions=BENCHMARKS,
        train="<results>/questions/train.parquet",
        evaluations=rules.score.output,
        answers=expand(rules.efficiency.output, seed=SCALE.seeds),
        trajectories=[training_trajectories(style) for style in SCALE.sft],
        community="<results>/evaluations/community.parquet" if SCALE.community else [],
    output:
        "<results>/tables/quantities.parquet",
    log:
        "<logs>/quantities.log",
    benchmark:
        "<benchmarks>/quantities.tsv"
    params:
        **step("raml.quantities.measure", job_of(SCALE)),
        probes=lambda wildcards, input: " ".join(f"--{name} {input[name]}" for name in PROBES),
        styles=list(SCALE.sft),
    message:
        "Measure the quantities"
    shell:
        "python -m raml.quantities.measure --scale {params.scale} --config {params.config:q}"
        " --questions {input.questions} --train {input.train} --evaluations {input.evaluations}"
        " --answers {input.answers} --trajectories {input.trajectories} --styles {params.styles} {params.probes}"
        " --community {input.community} --out {output}"
        " > {log} 2>&1"


rule decide:
    input:
        quantities=rules.quantities.output,
        claims="config/claims.yaml",
        reported="config/reported.yaml",
    output:
        effects="<results>/tables/effects.parquet",
        claims=report(
            "<results>/claims.json", caption="../report/claims.rst", category="Claims", labels={"what": "verdicts"}
        ),
        metrics="<results>/tables/metrics.parquet",
        metrics_json="<results>/tables/metrics.json",
        verdicts="<results>/tables/claims.json",
    log:
        "<logs>/decide.log",
    benchmark:
        "<benchmarks>/decide.tsv"
    params:
        **step("raml.claims.decide", SCALE),
    message:
        "Make the effects and decide the claims"
    shell:
        "python -m raml.claims.decide --scale {params.scale} --config {params.config:q}"
        " --quantities {input.quantities} --claims {input.claims} --reported {input.reported}"
        " --effects {output.effects} --out {output.claims} --metrics {output.metrics}"
        " --metrics-json {output.metrics_json} --verdicts {output.verdicts}"
        " > {log} 2>&1"


# Facts about the weights, so that the report can be built where they are not.
rule models:
    input:
        expand("<results>/models/seed{seed}/{model}/model.safetensors", seed=SCALE.seeds, model=SCALE.models),
    output:
        "<results>/tables/models.json",
    log:
        "<logs>/models.log",
    benchmark:
        "<benchmarks>/models.tsv"
    params:
        **step("raml.report.models", {}),
        folders=lambda wildcards, input: [os.path.dirname(path) for path in input],
    message:
        "Write down sizes and hashes of the models"
    shell:
        "python -m raml.report.models --scale {params.scale} --config {params.config:q}"
        " --models {params.folders} --out {output}"
        " > {log} 2>&1"


rule training_log:
    input:
        expand("<results>/models/seed{seed}/{model}/training.jsonl", seed=SCALE.seeds, model=TRAINED),
    output:
        table="<results>/tables/training.parquet",
        csvs=expand("<results>/tables/training/{model}.csv", model=TRAINED),
    log:
        "<logs>/training_log.log",
    benchmark:
        "<benchmarks>/training_log.tsv"
    params:
        **step("raml.evaluation.training_log", {}),
    message:
        "Gather the logs of training"
    shell:
        "python -m raml.evaluation.training_log --scale {params.scale} --config {params.config:q}"
        " --logs {input} --csvs {output.csvs} --table {output.table}"
        " > {log} 2>&1"


# All exhibits that are made of effects in one job: to draw one takes a tenth of a second, to start three seconds.
rule draw:
    input:
        templates=ENTRIES,
        effects=rules.decide.output.effects,
        claims=rules.decide.output.claims,
        reported="config/reported.yaml",
        models=rules.models.output,
        training=rules.training_log.output.table,
        times="<results>/times.json" if "times" in EXHIBITS else [],
    output:
        figures=shown(DRAWN, "svg"),
        records=expand("<results>/figures/{exhibit}.json", exhibit=DRAWN),
        markdown=expand("<results>/tables/{exhibit}.md", exhibit=MARKDOWN),
    log:
        "<logs>/draw.log",
    benchmark:
        "<benchmarks>/draw.tsv"
    params:
        **step("raml.report.draw", SCALE),
        exhibits=DRAWN,
    message:
        "Draw the exhibits"
    shell:
        "python -m raml.report.draw --scale {params.scale} --config {params.config:q} --exhibits {params.exhibits}"
        " --effects {input.effects} --claims {input.claims} --reported {input.reported} --models {input.models}"
        " --training {input.training} --times {input.times} --figures {output.figures} --records {output.records}"
        " > {log} 2>&1"


rule draw_raw:
    input:
        templates=ENTRIES,
        effects=rules.decide.output.effects,
        claims=rules.decide.output.claims,
        reported="config/reported.yaml",
        models=rules.models.output,
        questions=BENCHMARKS,
        tokenizer=f"{TOKENIZER}/tokenizer.json",
        curves=expand(rules.probe.output, seed=SCALE.seeds, model=SCALE.probing.models),
        samples=expand(SAMPLES, seed=SCALE.seeds, model=SCALE.probing.models),
        landscape=PROBES["landscape"],
    output:
        figures=shown(RAW, "svg"),
        records=expand("<results>/figures/{exhibit}.json", exhibit=RAW),
    log:
        "<logs>/draw_raw.log",
    benchmark:
        "<benchmarks>/draw_raw.tsv"
    params:
        **step("raml.report.draw_raw", SCALE),
        exhibits=RAW,
    message:
        "Draw curves and landscapes"
    shell:
        "python -m raml.report.draw_raw --scale {params.scale} --config {params.config:q} --exhibits {params.exhibits}"
        " --effects {input.effects} --claims {input.claims} --reported {input.reported} --models {input.models}"
        " --questions {input.questions} --tokenizer {input.tokenizer} --curves {input.curves}"
        " --samples {input.samples} --landscape {input.landscape}"
        " --figures {output.figures} --records {output.records}"
        " > {log} 2>&1"


rule report_trajectories:
    input:
        templates=TEMPLATES,
        questions=BENCHMARKS,
        tokenizer=f"{TOKENIZER}/tokenizer.json",
        curves=expand(rules.probe.output, seed=SCALE.seeds, model=SCALE.probing.models),
        samples=expand(SAMPLES, seed=SCALE.seeds, model=SCALE.probing.models),
    output:
        page="<results>/report/trajectories.html",
        parts=expand("<results>/report/trajectories/{chunk}.js", chunk=CHUNKS),
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


# After the claims, so that it is written again with them: the machine that measured.
rule environment:
    input:
        claims=rules.decide.output.claims,
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


rule build_report:
    input:
        claims=rules.decide.output.claims,
        lock="requirements/core.lock",
        machine=rules.environment.output,
        models=rules.models.output,
        templates=TEMPLATES,
        exhibits=expand("<results>/figures/{exhibit}.json", exhibit=EXHIBITS),
        figures=expand("<results>/figures/{exhibit}.svg", exhibit=EXHIBITS),
        others=[path for path in glob("results/*/claims.json") if Path(path).parts[1] != SCALE.scale],
    output:
        index=report(
            "<results>/report/index.html", caption="../report/page.rst", category="Claims", labels={"what": "report"}
        ),
        provenance="<results>/report/provenance.html",
        scales="<results>/report/scales.html",
        forest=["<results>/figures/forest.svg", "<results>/figures/forest-narrow.svg"],
        pages=expand("<results>/report/{exhibit}.html", exhibit=EXHIBITS),
    log:
        "<logs>/build_report.log",
    benchmark:
        "<benchmarks>/build_report.tsv"
    params:
        **step("raml.report.build", SCALE),
    message:
        "Build the report"
    shell:
        "python -m raml.report.build --scale {params.scale} --config {params.config:q}"
        " --claims {input.claims} --lock {input.lock} --machine {input.machine} --models {input.models}"
        " --exhibits {input.exhibits} --figures {input.figures} --others {input.others}"
        " --index {output.index} --origins {output.provenance} --scales {output.scales} --forest {output.forest}"
        " --pages {output.pages}"
        " > {log} 2>&1"


# What git keeps of the results, as a research object.
rule crate:
    input:
        files=[
            rules.questions_phase.input,
            rules.score.output,
            rules.quantities.output,
            rules.decide.output,
            rules.models.output,
            rules.training_log.output,
            rules.draw.output,
            rules.draw_raw.output,
            rules.environment.output,
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
        rules.crate.input.files,
        *PROBES.values(),
        rules.crate.output,
    message:
        "Phase done: analysis"


# From the quantities in git alone: what `make claims` makes again, whatever else is there.
rule claims_phase:
    input:
        rules.decide.output,
        rules.draw.output,
        rules.build_report.output,
    message:
        "Claims decided, exhibits drawn and report built from the quantities"
