"""The argument after the last documented one."""

import re

import pytest

from benchmark.config import configured
from benchmark.errors import UserError

HASHES = {
    "docstring": "afa42567d1984a0181b554d2b022bdf793d03f7d77a50b659743b054c274545a",
}


def solve(prompt):
    arguments = re.search(r"^def \w+\((.*)\):$", prompt, re.MULTILINE).group(1).split(", ")
    documented = re.findall(r":param (\w+):", prompt)
    following = arguments.index(documented[-1]) + 1 if documented[-1] in arguments else None
    return {arguments[following]} if following else set()


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("docstring", dict(n_matching=1), "n_matching=1 must be 2 or more")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
