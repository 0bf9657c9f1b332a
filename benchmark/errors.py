"""The one base class of the errors that a user can mend.

Every message says what was given, what is allowed and what to type. The command line prints
such an error as one line; anything else that escapes is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something that the user gave cannot be used; the message says what to type instead."""


def near(name: str, allowed: Iterable[str]) -> str:
    """A clause ", did you mean 'x'?" naming the nearest allowed words, or nothing."""
    close = difflib.get_close_matches(name, list(allowed), n=3, cutoff=0.6)
    return f", did you mean {' or '.join(repr(word) for word in close)}?" if close else ""
