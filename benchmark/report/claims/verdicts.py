"""The verdict on a claim, one for each model and rival: it holds, it does not, or nobody can tell.

Nothing is averaged into a verdict. It cannot be told where cells are missing, where records differ
in what they must share, and where the interval has the claim's value inside.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

    @property
    def is_known(self) -> bool:
        """Whether its records know the quantity; one of known circuits is of few models."""
        return self.effect is None or not math.isnan(self.effect.value)

    @property
    def models(self) -> list[str]:
        """The models whose records it needs, as they are typed."""
        every = filter(None, (self.model, self.claim.rival_model))
        return [name for model in every for name in self.claim.names_of(model)]


def rows_of(name: str, claim: Claim, loaded: Mapping[str, Results]) -> Iterator[Row]:
    """The rows of a claim: its models, and others that have the cells and the quantity.

    Args:
        name: of the claim.
        claim: the claim.
        loaded: results by kind.
    """
    results = loaded.get(claim.kind)
    found = _cells(claim, results) if results else {}
    others = sorted({model for model, _ in found} - {*claim.models, claim.rival_model})
    for model in (*claim.models, *others):
        for rival in claim.others or [None]:
            cells = [(model, claim.cell)]
            if rival is not None:
                cells.append((claim.rival_model or model, rival))
            if model in claim.models or all(cell in found for cell in cells):
                row = _row(name, claim, rival, cells, results, found)
                if model in claim.models or row.is_known:
                    yield row


Cell = tuple[str, Tested]
Cells = Mapping[Cell, Mapping[int, list[Record]]]


def _cells(claim: Claim, results: Results) -> Cells:
    """The finished records that the claim is about, by model and cell, and by seed."""
    found: dict[Cell, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in results.done:
        names = record.names
        tested = Tested(names["method"], names["ablation"])
        if names["task"] == claim.task and tested in (claim.cell, *claim.others):
            for model, seed in _model_and_seed(claim, record):
                found[model, tested][seed].append(record)
    return found


def _model_and_seed(claim: Claim, record: Record) -> Iterator[tuple[str, int]]:
    """What the claim calls the model of a record, and its seed: of training, or of the cell."""
    own = record.config["seed"]
    if not claim.trained_by_seed:
        if own in claim.seeds:
            yield record.names["model"], own
        return
    for model in filter(None, (*claim.models, claim.rival_model)):
        for seed, name in zip(claim.seeds, claim.names_of(model), strict=True):
            if record.config["model"]["name"] == name:
                yield model, seed


def _row(
    name: str,
    claim: Claim,
    rival: Tested | None,
    cells: Sequence[Cell],
    results: Results | None,
    found: Cells,
) -> Row:
    records = [one for cell in cells for some in found.get(cell, {}).values() for one in some]
    keys, model = tuple(record.key for record in records), cells[0][0]
    missing = _missing(claim, cells, found)
    if missing or results is None:
        row = Row(name, claim, model, rival, Verdict.unknown, None, keys, missing, missing=True)
        command = f"ablation-bench run {claim.run} model={','.join(row.models)}"
        return replace(row, why=f"{missing}; {command}")
    try:
        effect = _measured(claim, [found[cell] for cell in cells], results)
    except UserError as error:
        return Row(name, claim, model, rival, Verdict.unknown, keys=keys, why=str(error))
    verdict, why = judged(claim, effect)
    return Row(name, claim, model, rival, verdict, effect, keys, why)


def _missing(claim: Claim, cells: Sequence[Cell], found: Cells) -> str:
    """Which cells have no record, in words."""
    parts = []
    for model, cell in cells:
        known = found.get((model, cell), {})
        seeds = [str(seed) for seed in claim.seeds if seed not in known]
        if seeds:
            of_model = f" of {model}" if claim.rival_model else ""
            parts.append(f"{cell}{of_model}, seed {', '.join(seeds)}")
    return f"no record of {'; '.join(parts)}" if parts else ""


def _measured(
    claim: Claim, cells: Sequence[Mapping[int, list[Record]]], results: Results
) -> Measured:
    """The effect of comparable records.

    Raises:
        UserError: they are not, or the quantity cannot be measured.
    """
    records = [record for cell in cells for some in cell.values() for record in some]
    refuse_differences(results, ((record.key, _shared(record)) for record in records), RUN_ALIKE)
    numbers = claim.measures.measure(results, records, claim.quantity)
    by_seed = [{seed: numbers[_only(cell[seed]).key] for seed in sorted(cell)} for cell in cells]
    return effect_of(by_seed[0], by_seed[1] if len(by_seed) > 1 else None, claim.effect)


def _only(records: list[Record]) -> Record:
    if len(records) > 1:
        raise UserError(
            f"records {records[0].key} and {records[1].key} are of one cell and seed, run with "
            "different settings; delete one"
        )
    return records[0]


def _shared(record: Record) -> Facts:
    """What records of one row must share."""
    return {
        (record.config["seed"], "prompts"): record.data,
        (record.names["model"], "model files"): record.model["files"],
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
