"""The weight update of a whole model that stands for a trajectory, exactly.

Two runs of one model: *with*, over prompt + trajectory + marker + answer, and *without* the trajectory. The
n query positions, those that predict the answer's tokens, hold the same tokens in both. If each layer's
attention puts the same vectors there as with the trajectory, so does the rest of the layer, which works
on each position by itself: residual stream and logits there are the same. So each layer in turn gets the
smallest change (Frobenius norm) of one projection that achieves this:

- *output*: with Z [n, in] the output projection's inputs without the trajectory and O [n, out] its outputs with
  it, dW = (O - Z W^T - b)^T pinv(Z)^T, of rank n; for one position (o - W z) z^T / (z^T z).
- *value*, as in Proposition 2.1: within a key-value group, head j at position i sees the weighted mean
  e_ij = p_ij X of the layer's normed inputs X, p being its attention weights. All e of a group, stacked as
  E [n heads, in], must give the heads' results V with the trajectory: dW = (V - E W^T - b)^T pinv(E)^T.

Earlier layers' changes move all tokens, hence the inputs of later layers: changes are found and applied in the
same forward pass, layer by layer (`search`), at a cost of about two forward passes for the whole update.

Rotary models depend on relative positions alone, and no change is needed for tokens that move up when the
trajectory goes. GPT-2 adds learned positions to the embeddings, so its first layer's change also makes up
for the difference between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.implicit.change import LayerChange, NotFiniteError, TooManyConditionsError, Update, patched
from raml.probing.implicit.layers import AttentionLayer, ProjectionName, attention_layers
from raml.probing.implicit.search import found_changes, recorded_targets
from raml.probing.packing import scoring

Ids = Sequence[int]


@dataclass(frozen=True)
class Comparison:
    """Logits [n, V] at the query positions: with the trajectory, and without it under changed weights."""

    expected: Tensor
    changed: Tensor
    answer_ids: tuple[int, ...]

    @property
    def logit_difference(self) -> float:
        """The largest difference, over positions and vocabulary."""
        return float((self.changed.double() - self.expected.double()).abs().max())

    @property
    def nll(self) -> float:
        """Mean NLL of the answer with the trajectory, nats per token."""
        return self._nll(self.expected)

    @property
    def nll_difference(self) -> float:
        """Distance of the changed model's NLL from `nll`."""
        return abs(self._nll(self.changed) - self.nll)

    def _nll(self, logits: Tensor) -> float:
        return float(cross_entropy(logits.double(), torch.tensor(self.answer_ids, device=logits.device)))


def implicit_update(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectory_ids: Ids,
    marker_ids: Ids,
    answer_ids: Ids,
    *,
    projection: ProjectionName = "output",
) -> Update:
    """The update that stands for one trajectory; see `implicit_updates`."""
    (update,) = implicit_updates(model, prompt_ids, [trajectory_ids], marker_ids, answer_ids, projection=projection)
    return update


def implicit_updates(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectories: Sequence[Ids],
    marker_ids: Ids,
    answer_ids: Ids,
    *,
    projection: ProjectionName = "output",
) -> list[Update]:
    """For each trajectory the update under which the model answers without it as it does with it.

    "Answers": the logits at the positions that predict the tokens of `answer_ids`, the last one of the marker
    first; for the next token's logits alone give one answer token. All trajectories are read in one batch of
    rows, padded to the longest, and all their changes are found in a second batch of short rows.

    Args:
        model: a causal LM of `layers.ARCHITECTURES`, in fp32 for logits that agree to about 1e-4.
        prompt_ids: P >= 1 ids.
        trajectories: B >= 1 sequences of ids; an empty one gives a change of 0, up to rounding.
        marker_ids: M >= 1 ids.
        answer_ids: n >= 1 ids.
        projection: which weights of the attention may change.

    Returns:
        B updates, in the trajectories' order.

    Raises:
        InputError: an empty part, an id outside the vocabulary, a sequence longer than the context, or an architecture
            that is not served.
        TooManyConditionsError: more conditions (answer tokens, times heads of a group) than a layer has inputs.
        RamlError: the model's logits are not finite as it is.
        NotFiniteError: they, or what enters a layer, are not finite under the changes.
    """
    _check_ids(model, prompt_ids, trajectories, marker_ids, answer_ids)
    layers = attention_layers(model)
    probe = [*marker_ids, *answer_ids[:-1]]  # the last answer token is only predicted
    _check_rank(layers, projection, len(answer_ids), len(prompt_ids) + len(probe))
    reading = _Rows.of(model, [[*prompt_ids, *trajectory, *probe] for trajectory in trajectories], len(answer_ids))
    without = _Rows.of(model, [[*prompt_ids, *probe]] * len(trajectories), len(answer_ids))
    with scoring(model):
        with recorded_targets(model, layers, reading.queries, projection) as targets:
            reading.logits(model)
        with found_changes(model, layers, without.queries, targets) as changes:
            without.logits(model, changed=projection)
    return [
        Update(projection, tuple(LayerChange(change.left[row], change.right[row]) for change in changes))
        for row in range(len(trajectories))
    ]


def compare(
    model: PreTrainedModel, update: Update, prompt_ids: Ids, trajectory_ids: Ids, marker_ids: Ids, answer_ids: Ids
) -> Comparison:
    """Run `model` with the trajectory, and without it carrying `update`: two plain forward passes.

    Raises:
        InputError: as in `implicit_updates`, or an update of another model's shape.
        RamlError: the model's logits are not finite as it is.
        NotFiniteError: they are not finite under the update.
    """
    _check_ids(model, prompt_ids, [trajectory_ids], marker_ids, answer_ids)
    probe = [*marker_ids, *answer_ids[:-1]]
    reading, without = (
        _Rows.of(model, [ids], len(answer_ids))
        for ids in ([*prompt_ids, *trajectory_ids, *probe], [*prompt_ids, *probe])
    )
    with scoring(model):
        expected = reading.logits(model)
        with patched(model, update):
            changed = without.logits(model, changed=update.projection)
    return Comparison(expected[0], changed[0], tuple(answer_ids))


@dataclass(frozen=True)
class _Rows:
    """Sequences padded on the right, which causal attention never looks at, and their last n positions [B, n]."""

    ids: Tensor
    queries: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel, sequences: Sequence[Ids], n: int) -> "_Rows":
        longest = max(map(len, sequences))
        ids = torch.tensor([[*row, *([row[-1]] * (longest - len(row)))] for row in sequences], device=model.device)
        ends = torch.tensor([len(row) for row in sequences], device=model.device)
        return cls(ids, ends[:, None] + torch.arange(-n, 0, device=model.device))

    def logits(self, model: PreTrainedModel, changed: ProjectionName | None = None) -> Tensor:
        """Logits [B, n, V] at the query positions; the head is not run elsewhere.

        `changed` are the projections whose weights are not the model's own, if any.

        Raises:
            RamlError: they are not finite with the model's own weights.
            NotFiniteError: they are not finite with changed ones.
        """

        def at_queries(_: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (inputs[0].gather(1, self.queries[..., None].expand(-1, -1, inputs[0].shape[-1])),)

        head = model.get_output_embeddings()
        handle = head.register_forward_pre_hook(at_queries)
        try:
            logits: Tensor = model(input_ids=self.ids, use_cache=False).logits
        finally:
            handle.remove()
        if not bool(logits.isfinite().all()):
            if changed is None:
                raise RamlError("the model's logits hold NaN or infinity; check its weights")
            raise NotFiniteError(
                f"the logits hold NaN or infinity under the change of the {changed} projections: it is too large for "
                f"{logits.dtype}; a shorter answer asks for less"
            )
        return logits


def _check_rank(layers: Sequence[AttentionLayer], projection: ProjectionName, n: int, tokens: int) -> None:
    """Refuse more conditions on a change than can be met: a map of the inputs of `tokens` tokens meets so many."""
    layer = layers[0]
    heads = 1 if projection == "output" else layer.output.weight.shape[1] // (layer.head_dim * layer.value.groups)
    width = layer.projection(projection).weight.shape[1]
    if n * heads > min(width, tokens):
        each = f" for each of the {heads} heads of a group" if heads > 1 else ""
        raise TooManyConditionsError(
            f"an answer of {n} tokens{each} asks {n * heads} things of one {projection} projection, which can meet "
            f"at most {min(width, tokens)} (its width is {width}, without the trajectory there are {tokens} tokens); "
            "give a shorter answer"
        )


def _check_ids(
    model: PreTrainedModel, prompt_ids: Ids, trajectories: Sequence[Ids], marker_ids: Ids, answer_ids: Ids
) -> None:
    vocabulary = model.config.vocab_size
    needed = {"prompt": prompt_ids, "marker": marker_ids, "answer": answer_ids}
    if empty := [name for name, ids in needed.items() if len(ids) == 0]:
        raise InputError(f"the {empty[0]} is empty: an update needs at least one token of it")
    if not trajectories:
        raise InputError("there is no trajectory to find an update for")
    for name, ids in [*needed.items(), *(("trajectory", ids) for ids in trajectories)]:
        if outside := [token for token in ids if not 0 <= token < vocabulary]:
            raise InputError(f"{name} id {outside[0]} is outside the model's vocabulary, 0 to {vocabulary - 1}")
    longest = max(map(len, trajectories))
    length = longest + sum(map(len, needed.values()))
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and length > context:
        raise InputError(
            f"prompt {len(prompt_ids)} + trajectory {longest} + marker {len(marker_ids)} + answer {len(answer_ids)} = "
            f"{length} tokens exceed the model's context of {context}"
        )
