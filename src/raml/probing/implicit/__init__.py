"""Trajectories as weight updates (Proposition 2.1), made exact for whole pretrained models.

    update = implicit_update(model, prompt_ids, trajectory_ids, marker_ids, answer_ids)
    with patched(model, update):
        ...  # the model without the trajectory now answers as it did with it

- `block`: one attention layer with an MLP, under the paper's own construction and under an exact one.
- `exact`: the changes of every layer's attention that stand for a trajectory in a whole model.
- `descent`: how those changes lie to the negative gradient of the answer's loss.
"""

from raml.probing.implicit.change import (
    LayerChange,
    NotFiniteError,
    TooManyConditionsError,
    Update,
    patched,
)
from raml.probing.implicit.descent import answer_gradients, cosine, descent
from raml.probing.implicit.exact import Comparison, compare, implicit_update, implicit_updates

__all__ = [
    "Comparison",
    "LayerChange",
    "NotFiniteError",
    "TooManyConditionsError",
    "Update",
    "answer_gradients",
    "compare",
    "cosine",
    "descent",
    "implicit_update",
    "implicit_updates",
    "patched",
]
