"""Muon (Jordan et al., 2024) in the precision of the weights, matrices of one shape together.

`torch.optim.Muon` orthogonalises in bf16, for which CPUs without such instructions have no fast product: there it took
three times as long as the rest of a step of pretraining. In fp32 it is cheap everywhere.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at 0: small singular values grow fast, to about 1 and not beyond
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonalised Nesterov momentum of each matrix; no weight decay."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float) -> None:
        """Optimise `matrices`, each of two dimensions."""
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing here evaluates the loss anew
        """One step; every matrix needs its gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for (rows, columns), matrices in by_shape.items():
                updates = orthogonalised(torch.stack([self._momentum(matrix) for matrix in matrices]))
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.add_(update, alpha=-rate)

    def _momentum(self, matrix: nn.Parameter) -> Tensor:
        """The gradient, moved towards its running mean after that has taken it in."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["mean"] = torch.zeros_like(matrix)
        mean: Tensor = state["mean"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(mean, MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Each matrix U S V' as about U V', by a quintic Newton-Schulz iteration.

    Args:
        matrices: shape [n, rows, columns].

    Returns:
        The same shape; singular values between about 0.7 and 1.2, of a matrix of zeros 0.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
