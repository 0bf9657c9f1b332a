"""The table of all methods: what each is, finds and costs, and the ablations it works under.

All of it stands in the first lines of a method's yaml, so nothing heavy is imported. Tests ask the
classes whether it is true.
"""

from itertools import takewhile

from rich.table import Table

from benchmark.config import configured_names, option_text

# How a line of the yaml begins, and the heading of its column.
FACTS = {
    "Finds": "finds",
    "Passes": "passes per training prompt, or in all",
    "Ablations": "ablations",
}


def methods() -> Table:
    """One row per option of conf/method."""
    table = Table("method", "what", *FACTS.values(), title="Methods", show_lines=True)
    for name in configured_names("method"):
        table.add_row(name, *facts_of(name).values())
    return table


def facts_of(name: str) -> dict[str, str]:
    """What the first lines of a method's yaml say, by how they begin; empty where one is missing.

    The first line says what the method is.
    """
    lines = takewhile(lambda line: line.startswith("# "), option_text("method", name).splitlines())
    what, *others = (line.removeprefix("# ") for line in lines)
    said = {fact: text for fact, _, text in (line.partition(": ") for line in others)}
    return {"what": what, **{fact: said.get(fact, "") for fact in FACTS}}
