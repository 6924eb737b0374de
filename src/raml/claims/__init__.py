"""What the paper claims, how each claim is tested, and what our measurements decide."""
