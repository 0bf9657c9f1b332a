"""The verbs that agree with the subject."""

import pytest
from support.tasks import words

from benchmark.config import configured
from benchmark.errors import UserError
from tasks.words import number_pairs

HASHES = {
    "agreement": "09782694ad9c98b307f0708c454618eb936c93d26c870f351d3601825fcb91dc",
    "agreement_simple": "32609e6d6e22c9334b226f63f866fa58543ffb9c19a0349e4e4e9a274fc6b26b",
}


def solve(prompt):
    subject = words(prompt)[1]
    plural = subject in {plural for _, plural in number_pairs()}
    return {"are", "were", "have"} if plural else {"is", "was", "has"}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("agreement", dict(constructions=[]), "name one or more of simple")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
