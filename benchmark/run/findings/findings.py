"""From a cell to its findings, and from findings to the files of a record."""

from pathlib import Path

import torch

from benchmark.files import replacing
from benchmark.method.findings import Findings
from benchmark.method.found import save_circuits, save_scores
from benchmark.method.problem import Problem
from benchmark.method.study import Study
from benchmark.records.record import CIRCUITS_FILE, SCORES, TABLE, TENSORS
from benchmark.run.cell import Cell
from benchmark.run.findings.circuits import find_and_measure
from benchmark.run.findings.finite import HALF, check_finite
from benchmark.run.prompts import Prompts
from benchmark.tensors import write_tensors


def findings_of(cell: Cell, problem: Problem, prompts: Prompts, work: Path) -> Findings:
    """Let the method of a cell work; `work` is where it may keep its state.

    Raises:
        UserError: no circuit was found, sizes do not fit the model, or a number is not finite.
    """
    method = cell.built_method
    if isinstance(method, Study):
        found, dtype = method.study(problem, prompts.held_out), problem.model.dtype
        # Of a whole format, a study may have its reasons to leave a number undefined.
        if dtype in HALF:
            summary = {name: torch.tensor(value) for name, value in found.summary.items()}
            check_finite(found.tensors | summary, "the study", dtype)
        return found
    return find_and_measure(cell, problem, prompts, work)


def write_findings(cell: Cell, folder: Path, found: Findings) -> list[str]:
    """Write the files of a record, each atomically; return their names."""
    for name in (TABLE, CIRCUITS_FILE, SCORES, TENSORS):
        (folder / name).unlink(missing_ok=True)
    names = [TABLE]
    with replacing(folder / TABLE) as temporary:
        found.table.to_parquet(temporary, index=False)
    if found.circuits is not None:
        save_circuits(folder / CIRCUITS_FILE, found.circuits)
        names.append(CIRCUITS_FILE)
        if found.circuits.scores:
            save_scores(folder / SCORES, found.circuits.scores)
            names.append(SCORES)
    if found.tensors:
        write_tensors(folder / TENSORS, found.tensors, {"kind": cell.kind, "key": cell.key})
        names.append(TENSORS)
    for name, write in found.files.items():
        write(folder / name)
    return [*names, *found.files]
