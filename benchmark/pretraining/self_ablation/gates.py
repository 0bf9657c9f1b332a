"""Gates: linear maps that score how relevant each unit is at a token, in each layer.

Units are the dimensions of the heads' outputs before the output projection, and the MLP's neurons.
A `local` gate reads the clean stream as it enters the layer; a `global` one the final normed
state of the clean stream, for all layers at once. Gates are trained beside the model, and its
export leaves them out.
"""

from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from benchmark.pretraining.self_ablation.streams import CleanStream

# What gates read: a layer's own state, the final one, or both, whose scores are added.
LOCAL = {"none": False, "local": True, "global": False, "both": True}
GLOBAL = {"none": False, "local": False, "global": True, "both": True}

Scores = tuple[Float[Tensor, "batch position width"], Float[Tensor, "batch position neurons"]]


class Gates(nn.Module):
    """The gates of a GPT-Neo model, with the usual initial weights of linear maps.

    Attributes:
        n_layers: of the model.
        sizes: units of attention and neurons of a layer.
        local: for every layer a map to the scores of each of the two kinds of units; or none.
        final: a map from the final state to those of all layers for each of the two; or none.
    """

    def __init__(self, config: Any, kind: str) -> None:  # noqa: ANN401 - a GPTNeoConfig
        """Gates of a kind that `LOCAL` and `GLOBAL` name."""
        super().__init__()
        width, self.n_layers = config.hidden_size, config.num_layers
        self.sizes = (width, config.intermediate_size or 4 * width)
        n_local, n_final = self.n_layers * LOCAL[kind], self.n_layers * GLOBAL[kind]
        self.local = nn.ModuleList(_maps(width, self.sizes) for _ in range(n_local))
        self.final = _maps(width, [n_final * size for size in self.sizes if n_final])

    def scores(self, clean: CleanStream) -> list[Scores]:
        """For every layer the scores of attention's units and of neurons."""
        found = []
        overall = [gate(clean.final).chunk(self.n_layers, -1) for gate in self.final]
        for layer in range(self.n_layers):
            parts = [scores[layer] for scores in overall] or [0.0, 0.0]
            if self.local:
                own = cast(nn.ModuleList, self.local[layer])
                pairs = zip(parts, own, strict=True)
                parts = [part + gate(clean.states[layer]) for part, gate in pairs]
            found.append(tuple(parts))
        return found


def _maps(width: int, outputs: Any) -> nn.ModuleList:  # noqa: ANN401
    return nn.ModuleList(nn.Linear(width, size) for size in outputs)
