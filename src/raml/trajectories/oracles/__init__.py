"""Programs that write trajectories: right ones in two styles, and deliberately wrong ones."""
