"""Reports of several kinds of records."""

import pytest
from support.records import results

from benchmark.errors import UserError
from benchmark.report.kinds import of_each_kind


def test_a_kind_that_cannot_be_compared_spares_the_others():
    loaded = {"circuits": results(), "components": results()}

    def make(kind, found):
        if kind == "circuits":
            raise UserError("cells are missing")
        return [kind]

    assert of_each_kind(loaded, make) == (
        ["components"],
        ["nothing on circuits: cells are missing"],
    )
    with pytest.raises(UserError, match="cells are missing"):
        of_each_kind({"circuits": results()}, make)
