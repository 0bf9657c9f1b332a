"""Prompts of a cell: what is warned of."""

import logging

from support.cells import cell

from benchmark.records.record import Status
from benchmark.run.runner import run_cell


def test_a_model_that_cannot_do_the_task_is_warned_about(tmp_path, caplog):
    logging.getLogger("benchmark").propagate = True
    record = run_cell(cell(tmp_path, task="docstring", method="random")).record
    assert record.status is Status.done
    assert record.accuracy < 0.5
    assert any("with an accuracy of" in warning for warning in record.warnings)


def test_a_task_with_fewer_prompts_gives_what_it_has(tmp_path):
    settings = cell(tmp_path, task="gender_bias", model="toy_gpt2", method="random", n_test=1000)
    record = run_cell(settings).record
    assert any("test prompts, not 1000: all there are" in warning for warning in record.warnings)
