"""Capitals of countries, and countries of capitals."""

import pytest
from support.tasks import words

from benchmark.config import configured
from benchmark.errors import UserError
from tasks.words import capitals

HASHES = {
    "capital_of_country": "a37fcfba6a2dbef26902883d05815de537818714c3f2b80b577326866f4199a7",
    "country_capital": "bebe7f5bcf8eeaa73568adb9bb7b55190083fe8c238b0c2f413dd6d85a3a891e",
    "country_capital_city": "115b50b643052ac3d42fe0fcfdc77734b50d7bf1ea06ef98c13a1612e9dbd87d",
    "country_capital_mixed": "d74813ed2f70f0698d908150871d353dd0e9165325bffa8db897883e8b697045",
}


def solve(prompt):
    found = set(words(prompt))
    countries = {capital: country for country, capital in capitals().items()}
    return {capitals()[word] for word in found & {*capitals()}} | {
        countries[word] for word in found & {*countries}
    }


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [("country_capital", dict(templates=[9]), "must name templates 1 to 5")],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)
