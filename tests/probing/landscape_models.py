"""Models to lay landscapes around: tiny random ones, and one whose landscape is known."""

from types import SimpleNamespace
from typing import Any

import torch
from tiny_models import build
from torch import Tensor, nn
from transformers import PreTrainedModel

from raml.probing.landscape import ForcedAnswer

ARCHITECTURES = ("llama", "qwen2", "gemma3", "gpt2")
OWN = {"llama": {"attention_bias": True}, "gemma3": {"final_logit_softcapping": 5.0}}

QUESTIONS = (
    ForcedAnswer([1, 5, 9], [30, 31], [7, 3, 11]),
    ForcedAnswer([2, 4, 8, 15, 16, 23], [30, 31], [5]),
    ForcedAnswer([3], [30], [6, 6, 12, 13, 4]),
    ForcedAnswer([20, 21, 22, 23, 24, 25, 26], [30, 31], [9, 2]),
)


def tiny(architecture: str, *, tied: bool = True, **changes: Any) -> PreTrainedModel:
    """A fresh model, whose weights may be moved."""
    return build(architecture, tie_word_embeddings=tied, **OWN.get(architecture, {}), **changes)


class KnownLandscape(nn.Module):
    """The NLL of token 1 is log(1 + exp(3 a^2 + b)) with weights (a, b): x and y cannot be mixed up."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([0.6]))
        self.b = nn.Parameter(torch.tensor([-0.5]))
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        text = SimpleNamespace(vocab_size=2, max_position_embeddings=8)
        self.config = SimpleNamespace(
            model_type="llama", _attn_implementation="eager", get_text_config=lambda: text
        )  # a causal one, which nothing has to be tried on
        self.points: list[tuple[float, float]] = []

    def get_input_embeddings(self) -> None:
        return None

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, input_ids: Tensor, use_cache: bool) -> SimpleNamespace:
        self.points.append((float(self.a), float(self.b)))
        first = 3 * self.a**2 + self.b
        logits = torch.stack([first, torch.zeros(1)], dim=-1).expand(*input_ids.shape, 2)
        return SimpleNamespace(logits=logits)
