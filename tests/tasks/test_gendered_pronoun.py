"""The pronoun of the person."""

from support.tasks import words

from tasks.words import lines

HASHES = {
    "gendered_pronoun": "61c97c6e6ce374ba6496b35202d39f52f01caa569dc0eeb29769cf59832a14df",
}


def solve(prompt):
    male = {*lines("male_names"), *lines("male_professions"), "man"}
    female = {*lines("female_names"), *lines("female_professions"), "woman"}
    person = next(word for word in words(prompt) if word in male | female)
    return {"he"} if person in male else {"she"}
