"""The verdict on a claim, one for each model and rival: it holds, it does not, or nobody can tell.

Nothing is averaged into a verdict. It cannot be told where cells are missing, where records differ
in what they must share, and where the interval has the claim's value inside.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from benchmark.errors import UserError
from benchmark.records.record import Record
from benchmark.report.claims.claim import Claim, Side, Tested
from benchmark.report.claims.effects import effect_of
from benchmark.report.comparable import Facts, refuse_differences
from benchmark.report.frame import Results
from benchmark.report.measured import Measured

RUN_ALIKE = "run them alike, or delete one"


class Verdict(Enum):
    """What the records say."""

    holds = "holds"
    fails = "does not hold"
    unknown = "cannot tell"


@dataclass(frozen=True)
class Row:
    """One model and rival of a claim.

    Attributes:
        name: of the claim.
        claim: the claim.
        model: the model's name.
        rival: what the claimed cell is compared with, if with anything.
        verdict: what the records say.
        effect: what was measured; None where it could not be.
        keys: the records that it was measured in.
        why: why it cannot be told.
        missing: whether that is because there are no records.
    """

    name: str
    claim: Claim
    model: str
    rival: Tested | None
    verdict: Verdict
    effect: Measured | None = None
    keys: tuple[str, ...] = ()
    why: str = ""
    missing: bool = False


def rows_of(name: str, claim: Claim, loaded: Mapping[str, Results]) -> Iterator[Row]:
    """The rows of a claim: its models, and others that have the cells.

    Args:
        name: of the claim.
        claim: the claim.
        loaded: results by kind.
    """
    results = loaded.get(claim.kind)
    found = _cells(claim, results) if results else {}
    others = sorted({model for model, _ in found} - set(claim.models))
    for model in (*claim.models, *others):
        for rival in claim.others or [None]:
            cells = [claim.cell, *filter(None, [rival])]
            if model in claim.models or all((model, cell) in found for cell in cells):
                yield _row(name, claim, model, rival, results, found)


Cells = Mapping[tuple[str, Tested], list[Record]]


def _cells(claim: Claim, results: Results) -> Cells:
    """The finished records that the claim is about, by model and cell."""
    found: dict[tuple[str, Tested], list[Record]] = defaultdict(list)
    for record in results.done:
        names = record.names
        tested = Tested(names["method"], names["ablation"])
        wanted = tested in (claim.cell, *claim.others)
        if names["task"] == claim.task and wanted and record.config["seed"] in claim.seeds:
            found[names["model"], tested].append(record)
    return found


def _row(
    name: str, claim: Claim, model: str, rival: Tested | None, results: Results | None, found: Cells
) -> Row:
    cells = [claim.cell, *filter(None, [rival])]
    records = [record for cell in cells for record in found.get((model, cell), [])]
    keys = tuple(record.key for record in records)
    missing = _missing(claim, cells, model, found)
    if missing or results is None:
        why = f"{missing}; ablation-bench run {claim.run} model={model}"
        return Row(name, claim, model, rival, Verdict.unknown, None, keys, why, missing=True)
    try:
        effect = _measured(claim, [found[model, cell] for cell in cells], results)
    except UserError as error:
        return Row(name, claim, model, rival, Verdict.unknown, keys=keys, why=str(error))
    verdict, why = judged(claim, effect)
    return Row(name, claim, model, rival, verdict, effect, keys, why)


def _missing(claim: Claim, cells: list[Tested], model: str, found: Cells) -> str:
    """Which cells have no record, in words."""
    parts = []
    for cell in cells:
        known = {record.config["seed"] for record in found.get((model, cell), [])}
        seeds = [str(seed) for seed in claim.seeds if seed not in known]
        if seeds:
            parts.append(f"{cell}, seed {', '.join(seeds)}")
    return f"no record of {'; '.join(parts)}" if parts else ""


def _measured(claim: Claim, cells: list[list[Record]], results: Results) -> Measured:
    """The effect of comparable records.

    Raises:
        UserError: they are not, or the quantity cannot be measured.
    """
    records = [record for cell in cells for record in cell]
    refuse_differences(results, ((record.key, _shared(record)) for record in records), RUN_ALIKE)
    numbers = claim.measures.measure(results, records, claim.quantity)
    by_seed = [
        {record.config["seed"]: numbers[record.key] for record in _one_a_seed(cell)}
        for cell in cells
    ]
    return effect_of(by_seed[0], by_seed[1] if len(by_seed) > 1 else None, claim.effect)


def _one_a_seed(records: list[Record]) -> list[Record]:
    seen: dict[int, Record] = {}
    for record in sorted(records, key=lambda record: record.config["seed"]):
        twin = seen.setdefault(record.config["seed"], record)
        if twin is not record:
            raise UserError(
                f"records {twin.key} and {record.key} are of one cell and seed, run with different "
                "settings; delete one"
            )
    return list(seen.values())


def _shared(record: Record) -> Facts:
    """What records of one row must share."""
    return {
        (record.config["seed"], "prompts"): record.data,
        ("model files",): record.model["files"],
        ("task versions",): record.versions["task"],
        (record.names["method"], "versions of the method"): record.versions["method"],
        ("versions of ablation-bench",): record.versions["ablation-bench"],
    }


def judged(claim: Claim, effect: Measured) -> tuple[Verdict, str]:
    """The verdict on a measured effect, and why there is none."""
    if math.isnan(effect.value):
        return Verdict.unknown, f"{claim.quantity} is not known of these records"
    if math.isnan(effect.low) or math.isnan(effect.high):
        return Verdict.unknown, "one seed without an interval over prompts; run more seeds"
    below, above = effect.high < claim.value, effect.low > claim.value
    if not (below or above):
        return (
            Verdict.unknown,
            f"the interval has {claim.value:g} inside; run more prompts or seeds",
        )
    return (Verdict.holds if below == (claim.side is Side.below) else Verdict.fails), ""
