"""What a cell that does a study leaves: its table, its scores, and the facts of its record."""

from dataclasses import asdict
from typing import Any

from benchmark.evaluation.circuits import passes
from benchmark.files import replacing
from benchmark.method.problem import Problem
from benchmark.method.study import Study
from benchmark.records.record import TABLE, TENSORS
from benchmark.records.store import Folder
from benchmark.run.cell import Cell
from benchmark.run.prompts import Prompts
from benchmark.tensors import write_tensors


def study_and_write(
    cell: Cell, problem: Problem, prompts: Prompts, folder: Folder
) -> dict[str, Any]:
    """Do the study and write its files; return the fields of the record."""
    study = cell.built_method
    assert isinstance(study, Study)
    found = study.study(problem, passes(prompts.test))
    with replacing(folder.path / TABLE) as temporary:
        found.table.to_parquet(temporary, index=False)
    write_tensors(folder.path / TENSORS, found.tensors, {"kind": cell.kind, "key": cell.key})
    return {
        "summary": found.summary,
        "cost": {"discovery": asdict(found.cost), "evaluation": asdict(found.judging)},
        "warnings": found.warnings,
    }
