"""The outer loop: pretraining of a micro base model, and the training techniques of the paper."""
