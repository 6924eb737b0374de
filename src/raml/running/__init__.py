"""What is at work in a checkout: one run at a time, what it is doing, and when it will be done.

The Snakefile uses it while a run goes on, `raml status` to tell of it. Nothing heavy is imported.
"""
