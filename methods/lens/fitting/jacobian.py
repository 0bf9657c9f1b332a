"""The mean Jacobian of the final state with respect to the states before every layer.

For a source position t, the derivatives of all later final states are added up:
J_l = mean over prompts and t of the sum over t' >= t of d h_final,t' / d h_l,t (the Jacobian lens
of Gurnee et al. 2026); or only the read position's own final state counts (the gradient baseline
of Li & Janson 2024, section 5). A prompt costs a forward pass and d_model backward passes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.states import streams
from benchmark.meter import count_parts
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer
from methods.lens.fitting.text import places_of

Jacobians = Float[Tensor, "layers d_model d_model"]
# Row and position of each place: an index of booleans would be looked at whenever it is used.
Places = tuple[Tensor, Tensor]


def mean_jacobian_of_later_states(
    model: Transformer, text: Sequence[Batch], skip_first: int, skip_last: int
) -> Jacobians:
    """The Jacobian lens's: sources are all real positions but the first and last few.

    Raises:
        UserError: no prompt has a position left.
    """
    return _mean_jacobian(
        model, text, lambda batch: (_middle(batch, skip_first, skip_last), batch.real)
    )


def mean_jacobian_at_read_position(
    model: Transformer, text: Sequence[Batch], length: int | None
) -> Jacobians:
    """The gradient baseline's: source and target are the place that lenses are fitted at."""
    return _mean_jacobian(model, text, lambda batch: (places_of(batch, length),) * 2)


def _mean_jacobian(model: Transformer, text: Sequence[Batch], places_of_batch) -> Jacobians:  # noqa: ANN001
    shape = model.shape
    total = torch.zeros(
        shape.n_layers, shape.d_model, shape.d_model, dtype=torch.float64, device=model.device
    )
    n_places = 0
    for batch in text:
        for part in batch.in_parts(rows_that_fit(model, 1, batch.n_positions)):
            sources, targets = (places.nonzero(as_tuple=True) for places in places_of_batch(part))
            n_places += len(sources[0])
            _add_jacobians(total, model, part, sources, targets)
    if not n_places:
        raise UserError(
            "no position of any prompt is left; give a smaller method.skip_first, or longer prompts"
        )
    return (total / n_places).to(model.stream_dtype)


def _add_jacobians(
    total: Tensor,
    model: Transformer,
    batch: Batch,
    sources: Places,
    targets: Places,
) -> None:
    """Row i of each layer: the gradient of the targets' i-th numbers, summed over the sources."""
    sources, targets = (tuple(x.to(model.device) for x in places) for places in (sources, targets))
    *before, final = streams(model, batch.clean)
    summed = final[0, 0][targets].sum(0)
    for i in range(model.shape.d_model):
        gradients = torch.autograd.grad(summed[i], before, retain_graph=True)
        for layer, gradient in enumerate(gradients):
            total[layer, i] += gradient[0, 0][sources].double().sum(0)
    count_parts(backward=float(len(batch) * model.shape.d_model))


def _middle(batch: Batch, skip_first: int, skip_last: int) -> Bool[Tensor, "batch pos"]:
    positions = torch.arange(batch.n_positions, device=batch.lengths.device)
    return (positions >= skip_first) & (positions < batch.lengths[:, None] - skip_last)
