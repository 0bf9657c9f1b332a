"""The share of x among the tokens."""

from fractions import Fraction

import pytest

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "fraction_of_x": "2690f2f9e548e606a44221580aff5c2d2a82cd83939cf7767effff78b84ca134",
}


def solve(prompt):
    return {str(Fraction(prompt.split().count("x"), len(prompt.split())))}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("fraction_of_x", dict(longest=9), "1 <= shortest <= longest <= 5")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
