"""What matters when jobs go to a cluster, and of no account without one; included after all other rules."""

# Nodes of a cluster seldom have a network.
workflow.localrules(*(rule.name for rule in workflow.rules if "HF_HUB_OFFLINE=0" in (rule.shellcmd or "")))


# Seconds each: less than Slurm and two more starts of Snakemake would take.
localrules:
    build_report,
    crate,
    decide,
    draw,
    draw_raw,
    environment,
    models,
    quantities,
    report_trajectories,
    training_log,
