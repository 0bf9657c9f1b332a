"""Numbers that no record may hold: what a narrow number format or a diverged training left."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.errors import UserError

HALF = (torch.float16, torch.bfloat16)


def check_finite(numbers: Mapping[str, Tensor], what: str, dtype: torch.dtype) -> None:
    """Check that all numbers are finite.

    Args:
        numbers: by their names in tables.
        what: where they come from.
        dtype: of the model's weights.

    Raises:
        UserError: some are not; it says which, and what to type.
    """
    wrong = {name: int((~one.isfinite()).sum()) for name, one in numbers.items()}
    wrong = {name: count for name, count in wrong.items() if count}
    if not wrong:
        return
    name, count = next(iter(wrong.items()))
    advice = (
        f"{str(dtype).removeprefix('torch.')} overflowed; type model.dtype=float32"
        if dtype in HALF
        else "if the ablation or the method trains, type a smaller learning rate; "
        "model.dtype=float64 tells rounding from divergence"
    )
    raise UserError(
        f"{count} of {numbers[name].numel()} numbers of {name} of {what} are not finite, and so "
        f"for {len(wrong)} of {len(numbers)} quantities: {advice}"
    )
