"""The sum, or the difference."""

import re

import pytest

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "arithmetic_addition": "a51cdc3cc1e913455bb960e0803d6c42d3cdebe3614f5340f2832c97580a659e",
    "arithmetic_addition_mib": "07387feedc011d14df777a9d699f9c2336d01d5928a29f3d4efd32587745d7fe",
    "arithmetic_subtraction": "c4c7fec986957350af370312ebb0a949fa2cf61ec04694666dcf298348120eb3",
    "arithmetic_subtraction_mib": (
        "ea966da9f0bab0db11b9cae019a89436ead8921c1a5bd783e83209b5988e8f3c"
    ),
}


def solve(prompt):
    a, b = map(int, re.findall(r"\d+", prompt))
    minus = re.search(r"minus|difference|-", prompt)
    return {str(abs(a - b) if minus else a + b)}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [
        ("arithmetic_addition", dict(smallest=5, largest=5), "below"),
        ("arithmetic_addition", dict(templates=[9]), "must name templates 1 to 5"),
    ],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
