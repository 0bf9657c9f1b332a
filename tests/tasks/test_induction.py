"""The token that followed before."""

import pytest
from support.tasks import words

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "induction": "4eed55da030ea1450fbf0a3b7ddc8ace05c93e73b5f114322b9b300665df0fe6",
    "induction_unrepeated": "981ac34120deb460cd3f4cfd8e375a1df1a1bbbbb13fb590857ba22cbc69a557",
}


def solve(prompt):
    *earlier, last = words(prompt)
    return {earlier[earlier.index(last) + 1]} if last in earlier else set()


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("induction", dict(shortest=1), "2 <= shortest <= longest")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
