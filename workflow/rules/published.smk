"""Published questions, and trajectories of them that published models write, or that are published themselves.

Jobs run offline but for those that fetch, here and in `community.smk`.
"""

# By table: who writes it, the questions, and how many trajectories of each.
WRITTEN = {
    **{style: (style, "train", writer.rollouts) for style, writer in SCALE.writers.items()},
    "held_out_long": ("long", "benchmarks", SCALE.probing.trajectories_per_question),
}


rule fetch_questions:
    output:
        train="<results>/questions/train.parquet",
        benchmarks="<results>/questions/benchmarks.parquet",
        tests="<results>/questions/tests.zip",
        cleaning="<results>/questions/cleaning.parquet",
        cleaning_text="<results>/tables/cleaning.md",
    log:
        "<logs>/fetch_questions.log",
    benchmark:
        "<benchmarks>/fetch_questions.tsv"
    params:
        **step("raml.questions.published", SCALE.published),
    message:
        "Fetch the training questions and the benchmarks"
    shell:
        "HF_HUB_OFFLINE=0 python -m raml.questions.published --scale {params.scale} --config {params.config:q}"
        " --train {output.train} --benchmarks {output.benchmarks} --tests {output.tests}"
        " --cleaning {output.cleaning} --cleaning-text {output.cleaning_text}"
        " > {log} 2>&1"


rule fetch_writer:
    output:
        **model_files("<results>/models/writers/{style}"),
    log:
        "<logs>/fetch_writer/{style}.log",
    benchmark:
        "<benchmarks>/fetch_writer/{style}.tsv"
    wildcard_constraints:
        style="|".join(SCALE.writers),
    params:
        **step("raml.trajectories.fetch", lambda wildcards: address(SCALE.writers[wildcards.style])),
        folder=subpath(output.weights, parent=True),
    message:
        "Fetch the model that writes {wildcards.style} trajectories"
    shell:
        "HF_HUB_OFFLINE=0 python -m raml.trajectories.fetch --scale {params.scale} --config {params.config:q}"
        " --outs {params.folder}"
        " > {log} 2>&1"


# Styles of which others have published trajectories of the training questions.
PUBLISHED = [style for style, writer in SCALE.writers.items() if writer.published_rollouts]


for style in PUBLISHED:

    rule:
        name:
            f"read_{style}"
        input:
            **tokenizer_files(TOKENIZER),
            questions="<results>/questions/train.parquet",
        output:
            table=f"<results>/trajectories/{style}.parquet",
            agreement=f"<results>/tables/rollouts_{style}.md",
        log:
            f"<logs>/read_{style}.log",
        benchmark:
            f"<benchmarks>/read_{style}.tsv"
        params:
            **step(
                "raml.trajectories.published_rollouts",
                {
                    "rollouts": SCALE.writers[style].published_rollouts,
                    "n": SCALE.writers[style].rollouts,
                    "template": SCALE.published.train.template,
                    "cleaning": SCALE.published.train.cleaning,
                },
            ),
            tokenizer=subpath(input.tokenizer, parent=True),
            writer=style,
        message:
            f"Read {style} trajectories that others have published"
        shell:
            "HF_HUB_OFFLINE=0 python -m raml.trajectories.published_rollouts --scale {params.scale}"
            " --config {params.config:q} --writer {params.writer} --questions {input.questions}"
            " --tokenizer {params.tokenizer} --out {output.table} --agreement {output.agreement}"
            " > {log} 2>&1"


for table, (style, split, n) in WRITTEN.items():
    if table in PUBLISHED:
        continue
    writer = SCALE.writers[style]

    rule:
        name:
            f"write_{table}"
        input:
            **model_files(f"<results>/models/writers/{style}"),
            questions=f"<results>/questions/{split}.parquet",
        output:
            f"<results>/trajectories/written/{table}/part{{part}}.parquet",
        log:
            f"<logs>/write_{table}/part{{part}}.log",
        benchmark:
            f"<benchmarks>/write_{table}/part{{part}}.tsv"
        threads: writer.sampling.threads
        resources:
            gpu=writer.engine.tensor_parallel if SCALE.device.kind == "gpu" else 0,
        params:
            **step(
                "raml.trajectories.sample",
                # evaluated while the rule is made: the loop goes on
                lambda wildcards, writer=writer, n=n: {
                    "engine": writer.engine,
                    "sampling": writer.sampling,
                    "n": n,
                    "kinds": None,
                    "thinking": True,
                    "part": {"number": int(wildcards.part), "of": writer.jobs},
                },
            ),
            model=subpath(input.weights, parent=True),
            writer=style,
            work=SHARDS,
        message:
            f"Write {style} trajectories of the {split} questions, part {{wildcards.part}}"
        shell:
            "python -m raml.trajectories.sample --scale {params.scale} --config {params.config:q}"
            " --models {params.model} --writers {params.writer} --questions {input.questions}"
            " --work {params.work} --outs {output}"
            " > {log} 2>&1"

    # SFT and DPO learn from tokens of the model that they train.
    rule:
        name:
            f"retokenise_{table}"
        input:
            **tokenizer_files(TOKENIZER),
            trajectories=expand(f"<results>/trajectories/written/{table}/part{{part}}.parquet", part=range(writer.jobs)),
            questions=f"<results>/questions/{split}.parquet",
        output:
            f"<results>/trajectories/{table}.parquet",
        log:
            f"<logs>/retokenise_{table}.log",
        benchmark:
            f"<benchmarks>/retokenise_{table}.tsv"
        params:
            **step("raml.trajectories.retokenise", {}),
            tokenizer=subpath(input.tokenizer, parent=True),
        message:
            f"Rewrite {table} in the base model's tokens"
        shell:
            "python -m raml.trajectories.retokenise --scale {params.scale} --config {params.config:q}"
            " --trajectories {input.trajectories} --questions {input.questions} --tokenizer {params.tokenizer}"
            " --out {output}"
            " > {log} 2>&1"


rule questions_phase:
    input:
        rules.fetch_questions.output,
    message:
        "Phase done: questions"


rule trajectories_phase:
    input:
        [f"<results>/trajectories/{table}.parquet" for table in WRITTEN],
    message:
        "Phase done: trajectories"
