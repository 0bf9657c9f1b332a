"""An before a vowel, else a."""

import re

# No model of the zoo knows its words.
BEYOND_THE_ZOO = True
HASHES = {
    "indefinite_article": "09a2871e6a8035471baaf1a27f58fa866f4659bcf65e51361de0cb6bc9b1903d",
}


def solve(prompt):
    asked = re.findall(r"one (\w+)", prompt)[-1]
    return {"an"} if asked[0] in "aeiou" else {"a"}
