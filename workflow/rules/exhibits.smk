"""Exhibits of the outer loop: tables 1 to 3, figures 7 to 9, and how training went."""


report: "../report/workflow.rst"


MAIN_BASE = f"<results>/models/seed{SCALE.seeds[0]}/base/model.safetensors"
TRAINED = [run.model for batch in BATCHES for run in batch.runs if run.model in SCALE.models and run.model != "base"]
STARTS = {run.model: run.start for batch in BATCHES for run in batch.runs if run.model in TRAINED}

# The exhibits that come from evaluations: what of the configuration each step receives, and its further inputs.
SCORED = {
    "tab2": (
        {
            "evaluation": SCALE.evaluation,
            "base": SCALE.base and address(SCALE.base),
            "writers": SCALE.writers and {style: address(writer) for style, writer in SCALE.writers.items()},
        },
        ["metrics", "model"],
    ),
    "tab3": ({"evaluation": SCALE.evaluation, "regimes": regimes(SCALE)}, ["metrics", "evaluations", "model"]),
    "fig7": (SCALE.evaluation, ["metrics", "evaluations"]),
}
SCORES = {"metrics": rules.summarise.output.metrics, "evaluations": rules.score.output, "model": MAIN_BASE}


rule draw_scores:
    input:
        unpack(lambda wildcards: {name: SCORES[name] for name in SCORED[wildcards.scored][1]}),
        reported="config/reported.yaml",
    output:
        figure=shown("<results>/figures/{scored}.svg", "{scored}"),
        exhibit="<results>/figures/{scored}.json",
        markdown="<results>/tables/{scored}.md",
    log:
        "<logs>/{scored}.log",
    benchmark:
        "<benchmarks>/{scored}.tsv"
    wildcard_constraints:
        scored="|".join(SCORED),
    params:
        **step("raml.report.{scored}", lambda wildcards: SCORED[wildcards.scored][0]),
        inputs=lambda wildcards, input: " ".join(
            f"--{name} {os.path.dirname(input[name]) if name == 'model' else input[name]}"
            for name in SCORED[wildcards.scored][1]
        ),
    message:
        "Draw {wildcards.scored}"
    shell:
        "python -m raml.report.{wildcards.scored} --scale {params.scale} --config {params.config:q}"
        " {params.inputs} --reported {input.reported}"
        " --figure {output.figure} --exhibit {output.exhibit} --markdown {output.markdown}"
        " > {log} 2>&1"


rule tab1:
    input:
        outer=PROBES["outer"],
        evaluations=rules.score.output,
        claims="config/claims.yaml",
        reported="config/reported.yaml",
    output:
        figure=shown("<results>/figures/tab1.svg", "tab1"),
        exhibit="<results>/figures/tab1.json",
        markdown="<results>/tables/tab1.md",
    log:
        "<logs>/tab1.log",
    benchmark:
        "<benchmarks>/tab1.tsv"
    params:
        **step("raml.report.tab1", {"evaluation": SCALE.evaluation, "starts": STARTS}),
    message:
        "Draw tab1"
    shell:
        "python -m raml.report.tab1 --scale {params.scale} --config {params.config:q} --outer {input.outer}"
        " --evaluations {input.evaluations} --claims {input.claims} --reported {input.reported}"
        " --figure {output.figure} --exhibit {output.exhibit} --markdown {output.markdown}"
        " > {log} 2>&1"


rule fig8:
    input:
        evaluations=rules.score.output,
        questions=["<results>/questions/train.parquet", "<results>/questions/benchmarks.parquet"],
        trajectories=[training_trajectories(style) for style in SCALE.sft],
        claims="config/claims.yaml",
        reported="config/reported.yaml",
    output:
        figure=shown("<results>/figures/fig8.svg", "fig8"),
        exhibit="<results>/figures/fig8.json",
    log:
        "<logs>/fig8.log",
    benchmark:
        "<benchmarks>/fig8.tsv"
    params:
        **step(
            "raml.report.fig8",
            {
                "evaluation": SCALE.evaluation,
                "sft": SCALE.sft,
                "kinds": SCALE.sweeps.kinds,
                "series": series(SCALE),
            },
        ),
        styles=list(SCALE.sft),
    message:
        "Draw fig8"
    shell:
        "python -m raml.report.fig8 --scale {params.scale} --config {params.config:q}"
        " --evaluations {input.evaluations} --questions {input.questions} --trajectories {input.trajectories}"
        " --styles {params.styles} --claims {input.claims} --reported {input.reported}"
        " --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


rule fig9:
    input:
        rules.score.output,
    output:
        figure=shown("<results>/figures/fig9.svg", "fig9"),
        exhibit="<results>/figures/fig9.json",
    log:
        "<logs>/fig9.log",
    benchmark:
        "<benchmarks>/fig9.tsv"
    params:
        **step(
            "raml.report.fig9",
            {
                "evaluation": SCALE.evaluation,
                "grpo": SCALE.grpo,
                "kinds": SCALE.sweeps.kinds,
                "series": series(SCALE),
            },
        ),
    message:
        "Draw fig9"
    shell:
        "python -m raml.report.fig9 --scale {params.scale} --config {params.config:q}"
        " --evaluations {input} --figure {output.figure} --exhibit {output.exhibit}"
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


rule training_curves:
    input:
        rules.training_log.output.table,
    output:
        figure=shown("<results>/figures/training.svg", "training"),
        exhibit="<results>/figures/training.json",
    log:
        "<logs>/training_curves.log",
    benchmark:
        "<benchmarks>/training_curves.tsv"
    params:
        **step(
            "raml.report.training",
            {"sft": SCALE.sft, "dpo": SCALE.dpo, "grpo": SCALE.grpo, "cold_start": SCALE.cold_start},
        ),
    message:
        "Draw the curves of training"
    shell:
        "python -m raml.report.training --scale {params.scale} --config {params.config:q}"
        " --table {input} --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


# Times differ between runs, so the workflow does not make them: `raml times --save` does, after a run.
rule times:
    input:
        "<results>/times.json",
    output:
        figure=shown("<results>/figures/times.svg", "times"),
        exhibit="<results>/figures/times.json",
    log:
        "<logs>/times.log",
    benchmark:
        "<benchmarks>/times.tsv"
    params:
        **step("raml.report.times", {}),
    message:
        "Draw where the time went"
    shell:
        "python -m raml.report.times --scale {params.scale} --config {params.config:q}"
        " --times {input} --figure {output.figure} --exhibit {output.exhibit}"
        " > {log} 2>&1"


OUTER_LOOP = [
    expand(rules.draw_scores.output, scored=SCORED),
    rules.tab1.output,
    rules.fig8.output,
    rules.fig9.output,
    rules.training_log.output,
    rules.training_curves.output,
    rules.times.output if TIMED else [],
]
