"""How many tokens a forward pass may have, and what happens when memory runs out."""

import warnings

import torch

from raml.errors import RamlError


class Budget:
    """Tokens of one forward pass, at most; halved when memory runs out."""

    def __init__(self, tokens: int) -> None:
        """Start with `tokens` >= 1."""
        self.tokens = tokens
        self._said = False

    def halve(self, error: Exception, *, fed: int, least: int) -> None:
        """Go on with half of what a pass over `fed` tokens took, if it failed for want of memory.

        Args:
            error: what the pass raised.
            fed: tokens of that pass.
            least: a pass cannot have fewer.

        Raises:
            Exception: `error` itself, if it is about something else.
            RamlError: the pass had no more than `least` tokens.
        """
        if not is_out_of_memory(error):
            raise error
        if fed <= least:
            raise_if_out_of_memory(error, fed=fed)
        self.tokens = max(least, min(self.tokens, fed) // 2)
        if not self._said:
            self._said = True
            warnings.warn(
                f"out of memory in a forward pass over {fed} tokens: going on with a token_budget of {self.tokens}, "
                "and with less if need be",
                stacklevel=2,
            )


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


_SIGNS = ("DefaultCPUAllocator", "not enough memory")
"""In the message of what torch raises on the CPU."""


def raise_if_out_of_memory(error: Exception, *, fed: int) -> None:
    """A clear error for a pass over `fed` tokens that cannot be made smaller.

    Raises:
        RamlError: `error` says that memory ran out.
    """
    if is_out_of_memory(error):
        raise RamlError(
            f"out of memory: not even a forward pass over {fed} token{'s' * (fed > 1)} fits beside the model and the "
            "context; use a shorter trajectory, a smaller dtype or a larger device"
        ) from error
