"""The category of two of the words."""

import pytest
from support.tasks import words

from benchmark.config import configured
from benchmark.errors import UserError
from tasks.words import categories

HASHES = {
    "hypernymy": "48790341b972f0a74e7addd48de0423a7efa18cea0796605d161b47d898f05c9",
    "hypernymy_mixed": "1af5bc17eaf069b39924686881995e8e97fd77bfb1d4f8a1c86f042ce4f018ff",
}


def solve(prompt):
    found = set(words(prompt))
    return {name for name, members in categories().items() if len(found & set(members)) == 2}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("hypernymy", dict(templates=[9]), "must name templates 1 to 4")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
