"""Muon in the weights' precision: the steps of PyTorch's, without its rounding."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raml.training.muon import Muon, orthogonalised

SHAPES = [(8, 8), (24, 8), (8, 24), (8, 8)]


def matrices(generator: torch.Generator) -> list[nn.Parameter]:
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_its_steps_are_pytorchs_up_to_bf16() -> None:
    ours, theirs = (matrices(torch.Generator().manual_seed(0)) for _ in range(2))
    optimisers = [Muon(ours, lr=0.02), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.0)]
    before = [matrix.detach().clone() for matrix in ours]
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator)
        for optimiser in optimisers:
            optimiser.step()
    for one, other, start in zip(ours, theirs, before, strict=True):
        moved = (one - start).norm()
        assert moved > 0.02 * 4**0.5
        assert (one - other).norm() < 0.03 * moved


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 2**16), scale=st.floats(-4, 4))
def test_singular_values_come_near_1_and_vectors_stay(rows: int, columns: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    rank = min(rows, columns)
    values = 10**scale * (0.1 + 0.9 * torch.rand(rank, generator=generator))
    found = orthogonalised((left[:, :rank] * values @ right[:, :rank].T)[None])[0]
    in_its_basis = left[:, :rank].T @ found @ right[:, :rank]
    assert ((in_its_basis.diagonal() > 0.6) & (in_its_basis.diagonal() < 1.3)).all()
    assert torch.allclose(in_its_basis, in_its_basis.diagonal().diag(), atol=1e-3)
