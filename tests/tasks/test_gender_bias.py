"""The pronoun of the person."""

from support.tasks import words

from tasks.words import lines

HASHES = {
    "gender_bias": "c9e34fa1791361f51092258c488593d91e36b24cb22e511bfd63912f347390d2",
}


def solve(prompt):
    male = {*lines("male_names"), *lines("male_professions"), "man"}
    female = {*lines("female_names"), *lines("female_professions"), "woman"}
    person = next(word for word in words(prompt) if word in male | female)
    return {"he"} if person in male else {"she"}
