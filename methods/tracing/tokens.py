"""What the tokens of a fact are to its subject: the rows of averaged grids (Meng et al. 2022)."""

FIRST_SUBJECT, MIDDLE_SUBJECT, LAST_SUBJECT = "first subject", "middle subject", "last subject"
FIRST_FURTHER, FURTHER, LAST = "first further", "further", "last"
TOKENS = (FIRST_SUBJECT, MIDDLE_SUBJECT, LAST_SUBJECT, FIRST_FURTHER, FURTHER, LAST)


def token_kinds(start: int, stop: int, read_at: int) -> dict[int, str]:
    """The kind of every position from the subject to the last; a subject of one token is its last.

    Args:
        start: the first position of the subject.
        stop: the position behind its last.
        read_at: the prompt's last position.
    """
    kinds = dict.fromkeys(range(start, read_at + 1), FURTHER)
    kinds |= dict.fromkeys(range(start, stop), MIDDLE_SUBJECT)
    if stop <= read_at:
        kinds[stop] = FIRST_FURTHER
    kinds[start] = FIRST_SUBJECT
    kinds[read_at] = LAST
    kinds[stop - 1] = LAST_SUBJECT
    return kinds
