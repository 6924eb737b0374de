"""The inner loop: what each token of a trajectory does to the loss of the answer."""
