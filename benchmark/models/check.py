"""The check at load: our logits against Hugging Face's own, on random prompts.

In half precision two right programs may differ by as much as their logits are large: rounding
grows with depth. So where half precision differs, the adapter is judged in float32, and our half
precision by Hugging Face's: both against Hugging Face's logits in float32.
"""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.models.family import Family
from benchmark.models.parts import Module
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer

# Largest allowed difference of a logit; beyond logits of 10 it grows with their size.
TOLERANCE = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.bfloat16: 0.2,
    torch.float16: 0.05,
}
# Our root mean square error in half precision, in units of Hugging Face's; measured up to 1.2.
MOST_ROUNDING = 2.0
N_PROMPTS, N_TOKENS, MOST_TOKENS = 2, 24, 256

Logits = Float[Tensor, "batch pos vocab"]


def checked_difference(
    model: Transformer,
    hugging_face: Module,
    family: Family,
    name: str,
    n_tokens: int | None = None,
) -> float:
    """The largest difference to Hugging Face's logits on random prompts of `n_tokens`.

    Raises:
        UserError: it is more than rounding.
    """
    length = n_tokens or _tokens_at_load(hugging_face)
    difference, largest = largest_logit_difference(model, hugging_face, length)
    allowed = allowed_difference(model.dtype, largest, family.exact_in_float64)
    if difference <= allowed or _right_but_for_rounding(model, hugging_face, family, length):
        return difference
    again, _ = largest_logit_difference(model, hugging_face, length)
    raise _refused(name, difference, again, allowed)


def check_longer(
    model: Transformer, hugging_face: Module, family: Family, name: str, n_tokens: int
) -> None:
    """Check again at the length of a task's prompts, if the check at load saw shorter ones.

    So every window and scaled angle that the task's prompts reach has been compared.

    Raises:
        UserError: the difference is more than rounding.
    """
    if n_tokens > _tokens_at_load(hugging_face):
        checked_difference(model, hugging_face, family, name, n_tokens)


def check_finite(hugging_face: Module, source: str) -> None:
    """Refuse weights that are no numbers.

    Raises:
        UserError: some are NaN or infinite.
    """
    for name, parameter in hugging_face.named_parameters():
        # Either end is NaN where any number is; no copy of the weights is made.
        if parameter.numel() and not bool(torch.stack(parameter.aminmax()).isfinite().all()):
            wrong = int((~parameter.isfinite()).sum())
            raise UserError(
                f"the weights of {source!r} are damaged: {wrong:,} of the {parameter.numel():,} "
                f"numbers of {name} are NaN or infinite; download or train the model again"
            )


def largest_logit_difference(
    model: Transformer, hugging_face: Module, n_tokens: int | None = None
) -> tuple[float, float]:
    """The largest difference to Hugging Face's logits on random prompts, and the largest logit.

    Unless `n_tokens` are asked for, prompts are long enough to leave sliding windows of up to 248
    positions; longer windows are compared when a task's prompts are as long.
    """
    ours, theirs = _both_logits(model, hugging_face, n_tokens or _tokens_at_load(hugging_face))
    return float((ours - theirs).abs().max()), float(theirs.abs().max())


@torch.no_grad()
def _both_logits(model: Transformer, hugging_face: Module, n_tokens: int) -> tuple[Logits, Logits]:
    draw = generator(0, "load check")
    sizes = N_PROMPTS, min(n_tokens, model.shape.n_ctx)
    tokens = torch.randint(model.shape.d_vocab, sizes, generator=draw).to(model.device)
    theirs = hugging_face(tokens, use_cache=False).logits.to(model.stream_dtype)
    return clean_logits(model, tokens), theirs


def _right_but_for_rounding(
    model: Transformer, hugging_face: Module, family: Family, n_tokens: int
) -> bool:
    """Whether a model of half precision is right in float32, and rounds no worse than its peer."""
    if model.dtype not in (torch.bfloat16, torch.float16):
        return False
    twin = _in_float32(hugging_face)
    weights, cpu = family.read(twin), torch.device("cpu")
    whole = Transformer(weights, model.shape, torch.float32, cpu)
    exact, reference = _both_logits(whole, twin, n_tokens)
    allowed = allowed_difference(torch.float32, float(reference.abs().max()), False)
    if not float((exact - reference).abs().max()) <= allowed:
        return False
    ours, theirs = (
        float((logits.cpu() - reference).square().mean().sqrt())
        for logits in _both_logits(model, hugging_face, n_tokens)
    )
    return ours <= MOST_ROUNDING * theirs


def _in_float32(hugging_face: Module) -> Module:
    """A copy in float32 in main memory; nothing is copied in half precision first."""
    copies = {
        id(x): Parameter(x.detach().to("cpu", torch.float32), requires_grad=False)
        for x in hugging_face.parameters()
    }
    return deepcopy(hugging_face, copies).to("cpu", torch.float32)


def _tokens_at_load(hugging_face: Module) -> int:
    """Enough to leave the sliding window, if there is one, unless that would take long."""
    config = hugging_face.config.get_text_config()
    windows = (getattr(config, name, None) for name in ("sliding_window", "window_size"))
    needed = max([N_TOKENS, *(window + 8 for window in windows if window)])
    return needed if needed <= MOST_TOKENS else N_TOKENS


def allowed_difference(dtype: torch.dtype, largest_logit: float, exact_in_float64: bool) -> float:
    """How far our logits may be from Hugging Face's.

    Where Hugging Face computes in float32 inside a float64 model (`exact_in_float64` is False),
    only float32 agreement can be asked for.
    """
    float32_inside = dtype == torch.float64 and not exact_in_float64
    return TOLERANCE[torch.float32 if float32_inside else dtype] * max(1.0, largest_logit / 10)


def _refused(name: str, difference: float, again: float, allowed: float) -> UserError:
    """Tell a machine that computes differently each time from an adapter that is wrong.

    `again` is what the same check gave the second time.
    """
    if again <= allowed:
        return UserError(
            f"our logits for {name!r} differed from Hugging Face's by {difference:.2g}, and by "
            f"{again:.2g} when computed again (allowed: {allowed:.2g}): not reproducible on this "
            "machine; try again, or threads=1"
        )
    return UserError(
        f"our logits for {name!r} differ from Hugging Face's by {difference:.2g} "
        f"(allowed: {allowed:.2g}), so this model has a feature that its adapter in "
        "benchmark/models/families/ does not know; check=false loads it all the same"
    )
