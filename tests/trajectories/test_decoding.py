import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_sampling import plain_choice, plain_filter

from raml.config import Sampling
from raml.trajectories.decoding import filter_probabilities, next_tokens, row_uniforms

SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=8, batch_size=4, threads=1)

# Multiples of 1/64 are exact in float64, so that ties are ties and sums are exact.
rows = st.integers(2, 12).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 16), min_size=size, max_size=size).filter(any), min_size=1, max_size=4
    ).map(lambda counts: np.array(counts, dtype=np.float64) / 64)
)
top_ks = st.integers(0, 14)
top_ps = st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.875, 1.0])


@settings(max_examples=300, deadline=None)
@given(rows, top_ks, top_ps)
def test_filters_match_their_definition(probabilities, top_k, top_p):
    filtered = filter_probabilities(torch.from_numpy(probabilities), top_k, top_p).numpy()
    expected = [plain_filter(row, top_k, top_p) for row in probabilities]
    assert np.array_equal(filtered, expected)


@settings(max_examples=200, deadline=None)
@given(rows, top_ks, top_ps, st.sampled_from([0.3, 1.0, 2.5]), st.floats(0, 1, exclude_max=True))
def test_a_token_is_drawn_by_inverting_the_cumulative_distribution(probabilities, top_k, top_p, temperature, uniform):
    logits = np.log(probabilities + 1e-3) * 1.7
    sampling = SAMPLING.model_copy(update={"temperature": temperature, "top_k": top_k, "top_p": top_p})
    drawn = next_tokens(torch.from_numpy(logits), torch.full((len(logits),), uniform, dtype=torch.float64), sampling)
    for row, token in zip(logits, drawn.tolist(), strict=True):
        weights = np.exp((row - row.max()) / temperature)
        kept = plain_filter(weights / weights.sum(), top_k, top_p)
        assert kept[token] > 0
        boundary = np.abs(kept.cumsum() - uniform * kept.sum()).min()
        assert token == plain_choice(kept, uniform) or boundary < 1e-12


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_extreme_uniforms_draw_tokens_of_positive_probability(uniform):
    logits = torch.full((50, 7), -torch.inf)
    logits[:, 2:5] = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    drawn = next_tokens(logits, torch.full((50,), uniform, dtype=torch.float64), SAMPLING)
    assert set(drawn.tolist()) == {2 if uniform == 0 else 4}


def test_uniforms_belong_to_a_sample():
    uniforms = row_uniforms(1, "q", 2, 6)
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert np.array_equal(row_uniforms(1, "q", 2, 4), uniforms[:4])
    others = [row_uniforms(2, "q", 2, 6), row_uniforms(1, "r", 2, 6), row_uniforms(1, "q", 3, 6)]
    assert all(not np.isin(other, uniforms).any() for other in others)
