"""What overflows is a failure in one line, not a record of undefined numbers."""

import pytest
import torch
from support.cells import cell

from benchmark.errors import UserError
from benchmark.records.record import Status
from benchmark.run.findings.finite import check_finite
from benchmark.run.runner import run_cell

HALF = "1 of 2 numbers of kl of it are not finite, .*: {} overflowed; type model.dtype=float32"


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (torch.float16, HALF.format("float16")),
        (torch.bfloat16, HALF.format("bfloat16")),
        (torch.float32, "type a smaller learning rate"),
    ],
)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_the_numbers_and_what_to_type_are_named(dtype, message, value):
    numbers = {"accuracy": torch.ones(2), "kl": torch.tensor([1.0, value])}
    with pytest.raises(UserError, match=message):
        check_finite(numbers, "it", dtype)
    check_finite({"accuracy": torch.ones(2)}, "it", dtype)


def test_constants_that_diverge_end_no_cell_as_done(tmp_path):
    settings = cell(
        tmp_path, method="random", ablation="optimal", sizes=[0.1],
        constants=dict(steps=3, learning_rate=1e30),
    )  # fmt: skip
    record = run_cell(settings).record
    assert record.status is Status.failed and record.traceback is None
    assert "of circuits under optimal ablation are not finite" in record.reason
