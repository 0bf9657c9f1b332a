"""The letter of the colour asked for."""

import re

HASHES = {
    "colour_copying": "dc573c98c269dfb9cfb8b75091ef2fa5597650d0008dd10d9b0f4d651196f11a",
}


def solve(prompt):
    colour = re.search(r"is (\w+)\.", prompt).group(1)
    return set(re.findall(rf"^(\w)\. {colour}$", prompt, re.MULTILINE))
