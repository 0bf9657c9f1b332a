"""The next token of the sequence read backwards."""

import pytest

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "reversal": "119b16e0dccffafd84c28ff44124537d43c2b2fc986f18b0dfbec9b8716eddbe",
}


def solve(prompt):
    sequence, _, done = prompt.partition(" >")
    return {sequence.split()[::-1][len(done.split())]}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("reversal", dict(longest=9), "2 <= shortest <= longest <= 5")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
