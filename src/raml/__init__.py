"""RaML: reasoning as meta-learning, reproduced.

Questions become trajectories, trajectories train models and are probed, measurements decide claims.
Imports run one way, in that order; nothing here imports torch (see `docs/architecture.md`).
"""

__version__ = "0.1.0"
