"""A record that is run again and compared."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.cells import cell
from support.made.records import seal_anew

from benchmark.errors import UserError
from benchmark.records.record import RECORD, SCORES, TABLE
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record


def test_the_same_cell_gives_the_same_numbers(finished):
    settings, record = finished
    agrees, table = verify_record(Path(settings.results_dir), record.key)
    assert agrees
    assert "every number agrees exactly" in str(table.renderables[-1])


def test_a_record_of_before_its_method_left_scores_agrees(tmp_path):
    settings = cell(tmp_path)
    record = run_cell(settings).record
    files = {name: digest for name, digest in record.files.items() if name != SCORES}
    (settings.folder.path / SCORES).unlink()
    replace(record, files=files).write(settings.folder.path / RECORD)
    agrees, table = verify_record(tmp_path, record.key)
    assert agrees and "every number agrees exactly" in str(table.renderables[-1])


def test_verify_notices_another_number(tmp_path):
    settings = cell(tmp_path)
    record = run_cell(settings).record
    path = settings.folder.path / TABLE
    curve = pd.read_parquet(path)
    curve.assign(loss_gap=curve["loss_gap"] + 0.1).to_parquet(path, index=False)
    with pytest.raises(UserError, match=r"table.parquet beside it is missing or another"):
        verify_record(tmp_path, record.key)
    seal_anew(settings.folder.path)
    agrees, _ = verify_record(tmp_path, record.key)
    assert not agrees
    with pytest.raises(UserError, match=r"is not a record of .*, did you mean"):
        verify_record(tmp_path, record.key[:-1])
