"""Questions become trajectories, trajectories train models and are probed, measurements decide claims.

    snakemake --cores 2                              the scale `micro`
    snakemake --cores 2 --config scale=minimal       the same jobs in a minute, numbers without meaning
    snakemake --dry-run --config scale=paper         the jobs of the paper's own scale, published questions and models
    snakemake --cores 2 --config seeds=[0]           a key of config/scales/<scale>.yaml, laid over it
    snakemake --cores 2 training_phase               as far as the models

Each rule is a step of its phase, `python -m raml.<phase>.<step>`.
"""


include: "workflow/rules/common.smk"


if SCALE.published:

    include: "workflow/rules/published.smk"

else:

    include: "workflow/rules/questions.smk"
    include: "workflow/rules/trajectories.smk"


if SCALE.base:

    include: "workflow/rules/base.smk"

else:

    include: "workflow/rules/pretraining.smk"


include: "workflow/rules/batches.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/community.smk"
include: "workflow/rules/probing.smk"
include: "workflow/rules/efficiency.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/cluster.smk"


rule all:
    default_target: True
    input:
        rules.questions_phase.input,
        rules.trajectories_phase.input,
        rules.training_phase.input,
        rules.analysis_phase.input,
    message:
        "All artifacts of the scale {SCALE.scale} are there"
