"""The check at load: our logits against Hugging Face's own, on random prompts."""

from typing import NoReturn

import torch

from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.models.parts import Config, Module
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer

# Largest allowed difference of a logit; beyond logits of 10 it grows with their size.
TOLERANCE = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.bfloat16: 0.2,
    torch.float16: 0.05,
}
N_PROMPTS, N_TOKENS, MOST_TOKENS = 2, 24, 256


@torch.no_grad()
def largest_logit_difference(model: Transformer, hugging_face: Module) -> tuple[float, float]:
    """The largest difference to Hugging Face's logits on random prompts, and the largest logit.

    Prompts are long enough to leave sliding windows of up to 248 positions; longer windows are
    read from the configuration but not exercised.
    """
    draw = generator(0, "load check")
    shape = N_PROMPTS, min(_tokens_to_check(hugging_face.config), model.shape.n_ctx)
    tokens = torch.randint(model.shape.d_vocab, shape, generator=draw).to(model.device)
    theirs = hugging_face(tokens, use_cache=False).logits.to(model.stream_dtype)
    ours = clean_logits(model, tokens)
    return float((ours - theirs).abs().max()), float(theirs.abs().max())


def _tokens_to_check(config: Config) -> int:
    """Enough to leave the sliding window, if there is one, unless that would take long."""
    needed = max(N_TOKENS, (getattr(config, "sliding_window", None) or 0) + 8)
    return needed if needed <= MOST_TOKENS else N_TOKENS


def allowed_difference(dtype: torch.dtype, largest_logit: float, exact_in_float64: bool) -> float:
    """How far our logits may be from Hugging Face's.

    Where Hugging Face computes in float32 inside a float64 model (`exact_in_float64` is False),
    only float32 agreement can be asked for.
    """
    float32_inside = dtype == torch.float64 and not exact_in_float64
    return TOLERANCE[torch.float32 if float32_inside else dtype] * max(1.0, largest_logit / 10)


def refuse_logits(name: str, difference: float, again: float, allowed: float) -> NoReturn:
    """Tell a machine that computes differently each time from an adapter that is wrong.

    Raises:
        UserError: always, with `again` what the same check gave the second time.
    """
    if again <= allowed:
        raise UserError(
            f"our logits for {name!r} differed from Hugging Face's by {difference:.2g}, and by "
            f"{again:.2g} when computed again (allowed: {allowed:.2g}): not reproducible on this "
            "machine; try again, or threads=1"
        )
    raise UserError(
        f"our logits for {name!r} differ from Hugging Face's by {difference:.2g} "
        f"(allowed: {allowed:.2g}), so this model has a feature that its adapter in "
        "benchmark/models/families/ does not know; check=false loads it all the same"
    )
