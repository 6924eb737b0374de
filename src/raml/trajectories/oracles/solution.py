"""What an oracle writes, and the pieces that all oracles share."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Literal

OracleStyle = Literal["short", "long", "wrong"]


@dataclass
class Solution:
    """A thinking text in tokens, the answer that it ends with, and what makes it a solution of its own.

    `imitate[i]` is false where `thinking[i]` is a deliberately wrong attempt. Two solutions with the
    same `signature` differ at most in slips and checks, so only one of them counts.
    """

    thinking: list[str] = field(default_factory=list)
    imitate: list[bool] = field(default_factory=list)
    answer: str = ""
    signature: Hashable = None

    def write(self, tokens: Iterable[str], *, imitate: bool = True) -> None:
        """Append `tokens` to the thinking."""
        added = list(tokens)
        self.thinking += added
        self.imitate += [imitate] * len(added)
