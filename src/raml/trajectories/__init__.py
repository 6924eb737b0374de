"""Who writes trajectories: oracle programs and models, and how a completion becomes a row."""
