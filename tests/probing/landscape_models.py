"""Models to lay landscapes around: tiny random ones, and one whose landscape is known."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from raml.probing.landscape import ForcedAnswer

VOCABULARY = 37
CONTEXT = 48
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.4,
}
ARCHITECTURES = ("llama", "qwen2", "gemma3", "gpt2")

QUESTIONS = (
    ForcedAnswer([1, 5, 9], [30, 31], [7, 3, 11]),
    ForcedAnswer([2, 4, 8, 15, 16, 23], [30, 31], [5]),
    ForcedAnswer([3], [30], [6, 6, 12, 13, 4]),
    ForcedAnswer([20, 21, 22, 23, 24, 25, 26], [30, 31], [9, 2]),
)


def tiny(architecture: str, *, tied: bool = True, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Random weights, far from uniform attention, so that a wrong mask shows."""
    torch.manual_seed(0)
    model: PreTrainedModel
    if architecture == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.4,
                tie_word_embeddings=tied,
            )
        )  # fmt: skip
    elif architecture == "gemma3":
        model = Gemma3ForCausalLM(
            Gemma3TextConfig(
                **SHAPE, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
                final_logit_softcapping=5.0, tie_word_embeddings=tied,
            )
        )  # fmt: skip
    elif architecture == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=tied))
    else:
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, head_dim=8, attention_bias=True, tie_word_embeddings=tied))
    return model.to(dtype).eval()


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
