"""Two-digit numbers above the last."""

import re

import pytest

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "greater_than": "b49220747650c44ecdcdab9b02567ae1f44c35e331c86015a050242c9423c7f8",
    "greater_than_oa": "ffab999cab1e8d185dd6cd8e51866bc1b9ca3a5bef9f05da2efd10f695890afe",
    "greater_than_price": "fc7c96431e7339a398d00938f1c6c092036a12fd4e3949fbf5262ba03aad2e41",
    "greater_than_sequence": "873c9d34ec084e312105caaad265b0ef76a447f575e9fe98ae02eb984c8a2494",
    "greater_than_short": "9f3af820edfc6aeca55e14603f458319b2778ece3da03513127a33873c0f8d8c",
}


def solve(prompt):
    last, century = re.findall(r"\d+", prompt)[-2:]
    assert last[:2] == century
    return {f"{number:02d}" for number in range(100) if number > int(last[2:])}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("greater_than", dict(first_century=9), "must be two digits each")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
