"""How much memory the packed method takes, by formula."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from raml.probing.packing import first_key, next_pass
from raml.probing.support import attention_of
from raml.probing.tree import LOGITS_AT_ONCE, Probe, groups, probe_tree


def peak_bytes(
    config: PreTrainedConfig,
    prompt: int,
    trajectory: int,
    probes: Sequence[Probe],
    token_budget: int,
    bytes_per_number: int = 2,
    *,
    stride: int = 1,
) -> int:
    """Most bytes that `answer_nll_curves` holds at a time beside the model's weights.

    With b bytes a number, D hidden size, F intermediate size, V vocabulary, H query heads and K key-value heads of
    size d, and L = prompt + trajectory tokens; for a pass over n = R w tokens, in R rows of w, that see S
    tokens of the context and of which l predict an answer token:

        context = 2 b layers K d L
        pass    = b n (S + w), for each kind of layer    masks
                + b n (5 D + 2 d kinds)                  hidden states, rotary embedding
                + the most of
                    attention  2 b R (S + w) d (K + H) + 4 b n H d
                    MLP        3 b n F
                    head       b (l V + n D + l D) + 8 min(2^20, l V)
        peak    = context + the largest pass, over probes or reading the end of the context

    Attention counts each row's copy of the keys and values and, where H > K, the copies that transformers makes of
    these for all query heads (without H where H = K). Eager attention also holds its scores, n H (S + w) numbers of
    2 b + 4 bytes (2 b in fp32). In fp32 the head has 4 in place of 8. Passes over probes are those of
    `raml.probing.packing.next_pass`: mostly the last is the largest, S = L, w about max(64, 4 sqrt(L)) and n at most
    token_budget, or one forest of a tokens. Layers with a sliding window have S below window + positions in the
    pass. The pass that reads has R = 1, w = min(token_budget, L) and S = L - w; it copies no rows and needs one
    prediction. What kernels hold inside, and what an allocator keeps in reserve, is not counted.

    A Qwen2.5-7B (D 3584, F 18944, V 152064, 28 layers, H 28, K 4, d 128) in bf16 with a prompt of 256 and a
    trajectory of 32,000 tokens, M + A = 9 + 4 and a budget of 1,024 takes 1.85 GB for the context and 0.66 GB for a
    pass, beside 15.23 GB of weights; with a budget of 8,192 a pass takes 6.90 GB. With the 32 key-value heads in 32
    layers of Llama-2-7B the context takes 16.9 GB. All of this fits into 80 GB.

    Args:
        config: of a model of `raml.probing.support.PACKED_ARCHITECTURES`.
        prompt: tokens, at least 1.
        trajectory: tokens of the longest trajectory that are read.
        probes: at least one; only the lengths matter, and what the probes share.
        token_budget: as for `answer_nll_curves`.
        bytes_per_number: of the model's dtype.
        stride: as for `answer_nll_curves`.
    """
    sizes = _Sizes(config, bytes_per_number)
    windows = attention_of(config).windows
    length = prompt + trajectory
    read = min(token_budget, length)
    peak = sizes.pass_bytes(read, 1, dict.fromkeys(windows, length), 1, 1, copies=False)
    seen = range(prompt, length + 1, stride)
    for part in groups(probes, token_budget):
        tree = probe_tree(part, torch.device("cpu"))
        a, k = len(tree), len(tree.predicting)
        start = 0
        while start < len(seen):
            layout = next_pass(seen, start, a, token_budget)
            low, high = seen[start], seen[start + layout.n - 1]
            keys = {kind: high - first_key(low, window) + layout.per_row * a for kind, window in windows.items()}
            blocks = layout.rows * layout.per_row
            peak = max(peak, sizes.pass_bytes(blocks * a, layout.rows, keys, blocks * k, k))
            start += layout.n
    return sizes.context_bytes(length) + peak


def weights_bytes(config: PreTrainedConfig, bytes_per_number: int = 2) -> int:
    """Bytes of the weights of a causal LM of `config`, none of which are allocated."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    numbers: int = sum(weights.numel() for weights in model.parameters())
    return numbers * bytes_per_number


class _Sizes:
    """What the formula needs to know of a model."""

    def __init__(self, config: Any, bytes_per_number: int) -> None:
        self.b = bytes_per_number
        self.layers: int = config.num_hidden_layers
        self.hidden: int = config.hidden_size
        self.vocabulary: int = config.vocab_size
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = getattr(config, "num_key_value_heads", None) or self.heads
        self.head: int = getattr(config, "head_dim", None) or self.hidden // self.heads
        inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
        self.inner: int = inner or 4 * self.hidden
        self.eager = config._attn_implementation == "eager"

    def context_bytes(self, length: int) -> int:
        return 2 * self.b * self.layers * self.kv_heads * self.head * length

    def pass_bytes(
        self, n: int, rows: int, keys: dict[str, int], predicting: int, predicting_block: int, *, copies: bool = True
    ) -> int:
        """Bytes of a pass over `n` tokens whose layers of each kind have `keys` keys."""
        b, most = self.b, max(keys.values())
        kv_heads = (self.kv_heads if copies else 0) + (self.heads if self.heads > self.kv_heads else 0)
        attention = 2 * b * rows * most * self.head * kv_heads + 4 * b * n * self.heads * self.head
        if self.eager:
            attention += n * self.heads * most * (2 * b if b >= 4 else 2 * b + 4)
        mlp = 3 * b * n * self.inner
        head = b * (predicting * (self.vocabulary + self.hidden) + n * self.hidden)
        at_once = max(LOGITS_AT_ONCE, predicting_block * self.vocabulary)
        head += (4 if b == 4 else 8) * min(at_once, predicting * self.vocabulary)
        throughout = b * n * (sum(keys.values()) + 5 * self.hidden + 2 * self.head * len(keys))
        return throughout + max(attention, mlp, head)
