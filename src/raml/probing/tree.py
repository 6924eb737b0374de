"""Probes, and several of them as one forest of tokens, so that what they have in common is fed once.

A probe forces marker and answer after a prefix. Gold answer and distractors share the marker, and
answers may share their first tokens; thinking and no-thinking probes mostly share nothing. The forest
holds each distinct beginning once. A token sees its ancestors and itself, which for a single probe is
the usual causal mask.

Symbols: a tokens of the forest, k of them with an answer token to predict, A_p answer tokens of probe p.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOGITS_AT_ONCE = 2**20
"""How many logits are turned into log-probabilities at a time; more would take memory and be no faster."""


@dataclass(frozen=True)
class Probe:
    """What is forced after a prefix of the trajectory.

    The marker (M >= 1 ids) may begin with whatever ends the thinking; the answer (A >= 1 ids) is as inside the
    marker's `\\boxed{`. The value of a probe is the mean negative log-likelihood of the answer's tokens.
    """

    marker_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    @property
    def fed(self) -> tuple[int, ...]:
        """The M + A - 1 ids that the model reads: the last answer token is only predicted."""
        return (*self.marker_ids, *self.answer_ids)[:-1]


@dataclass(frozen=True)
class ProbeTree:
    """A forest of probes, in an order in which ancestors come first.

    tokens: ids fed, [a].
    depths: how many tokens after the prefix each stands, [a].
    sees: which tokens (columns) each token attends to, [a, a] bool.
    predicting: the tokens whose logits are needed, [k], ascending.
    sources: for each answer token of each probe in turn the place in `predicting` of the token that predicts it,
        [sum of A_p].
    targets: its id, [sum of A_p].
    answer_lengths: A_p.
    """

    tokens: Tensor
    depths: Tensor
    sees: Tensor
    predicting: Tensor
    sources: Tensor
    targets: Tensor
    answer_lengths: tuple[int, ...]

    def __len__(self) -> int:
        """Tokens fed after each prefix, a."""
        return len(self.tokens)

    def answer_nll(self, logits: Tensor) -> Tensor:
        """Mean NLL of each answer after n prefixes, [n, probes] in nats, fp64 on the CPU, given `logits` [n, k, V]."""
        at_once = max(1, LOGITS_AT_ONCE // logits[0].numel())
        log_probs = torch.cat(
            [at_least_float(part).log_softmax(-1)[:, self.sources, self.targets] for part in logits.split(at_once)]
        )
        nll = 0.0 - log_probs.cpu().double()  # never -0.0
        return torch.stack([part.mean(dim=1) for part in nll.split(self.answer_lengths, dim=1)], dim=1)


def probe_tree(probes: Sequence[Probe], device: torch.device) -> ProbeTree:
    """The forest of `probes`, on `device`."""
    nodes: dict[tuple[int, int], int] = {}  # (parent or -1, token) -> node
    depths: list[int] = []
    predicted: list[tuple[int, int]] = []  # (node, answer token)
    for probe in probes:
        node = -1
        path = []
        for depth, token in enumerate(probe.fed):
            if (node, token) not in nodes:
                nodes[node, token] = len(nodes)
                depths.append(depth)
            node = nodes[node, token]
            path.append(node)
        predicted += zip(path[len(probe.marker_ids) - 1 :], probe.answer_ids, strict=True)

    sees = torch.eye(len(nodes), dtype=torch.bool)
    for (parent, _), node in nodes.items():
        if parent >= 0:
            sees[node] |= sees[parent]
    predicting = sorted({node for node, _ in predicted})
    place = {node: index for index, node in enumerate(predicting)}
    return ProbeTree(
        tokens=torch.tensor([token for _, token in nodes], device=device),
        depths=torch.tensor(depths, device=device),
        sees=sees.to(device),
        predicting=torch.tensor(predicting, device=device),
        sources=torch.tensor([place[node] for node, _ in predicted], device=device),
        targets=torch.tensor([token for _, token in predicted], device=device),
        answer_lengths=tuple(len(probe.answer_ids) for probe in probes),
    )


def tree_size(probes: Sequence[Probe]) -> int:
    """Tokens of the forest of `probes`: their distinct beginnings."""
    return len({probe.fed[:end] for probe in probes for end in range(1, len(probe.fed) + 1)})


def groups(probes: Sequence[Probe], tokens: int) -> list[Sequence[Probe]]:
    """`probes` cut into runs whose forests have at most `tokens` tokens, or a single probe where that has more."""
    cut: list[list[Probe]] = []
    for probe in probes:
        if cut and tree_size([*cut[-1], probe]) <= tokens:
            cut[-1].append(probe)
        else:
            cut.append([probe])
    return list(cut)


def at_least_float(logits: Tensor) -> Tensor:
    """`logits` in fp32, unless they are in fp64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
