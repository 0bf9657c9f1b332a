"""Discovery, kept in the work folder: a kill while circuits are measured loses none of them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.meter import Meter, metering
from benchmark.method.circuits import CircuitMethod
from benchmark.method.found import (
    FoundCircuits,
    load_circuits,
    load_scores,
    save_circuits,
    save_scores,
)
from benchmark.method.problem import Problem
from benchmark.records.record import CIRCUITS_FILE, SCORES
from benchmark.run.cell import Cell

# Written last: what it does not say is not whole.
FACTS = "discovery.json"
log = logging.getLogger("benchmark")


def discovered(
    cell: Cell, problem: Problem, sizes: Sequence[int], work: Path
) -> tuple[FoundCircuits, Meter]:
    """What the method finds, or found before a kill, and what it cost.

    Raises:
        UserError: it finds no circuit.
    """
    before = load_discovery(work)
    if before is not None:
        return before
    method = cell.built_method
    assert isinstance(method, CircuitMethod)
    with metering() as cost:
        given = method.discover(problem, sizes)
    found = FoundCircuits.of(given)
    if not found:
        raise UserError(f"{cell.called['method']} found no circuit of sizes {sizes}")
    found = found.on("cpu")
    save_discovery(work, found, cost)
    return found, cost


def save_discovery(work: Path, found: FoundCircuits, cost: Meter) -> None:
    """Write what was found and what it cost."""
    save_circuits(work / CIRCUITS_FILE, found)
    if found.scores:
        save_scores(work / SCORES, found.scores)
    names = [CIRCUITS_FILE, *([SCORES] if found.scores else [])]
    files = {name: digest_of_file(work / name) for name in names}
    facts = {"cost": asdict(cost), "files": files, "warnings": list(found.warnings)}
    with replacing(work / FACTS) as temporary:
        temporary.write_text(json.dumps({"facts": facts, "sha256": digest(facts)}))


def load_discovery(work: Path) -> tuple[FoundCircuits, Meter] | None:
    """What `save_discovery` wrote, or None if it is not there, or damaged: then the log says so."""
    if not (work / FACTS).exists():
        return None
    facts, whole = {}, False
    try:
        written = json.loads((work / FACTS).read_text())
        facts = written["facts"]
        whole = written["sha256"] == digest(facts) and all(
            digest_of_file(work / name) == known for name, known in facts["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        log.debug("%s cannot be read", work / FACTS, exc_info=True)
    if not whole:
        log.warning("what was found is damaged in %s; circuits are sought anew", work)
        return None
    circuits = load_circuits(work / CIRCUITS_FILE)
    scores = load_scores(work / SCORES) if SCORES in facts["files"] else {}
    return FoundCircuits(circuits, scores, facts["warnings"]), Meter(**facts["cost"])
