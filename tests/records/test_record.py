"""The record as a file: what is written is read, and nothing else is."""

import json
from dataclasses import replace

import pytest
from support.records import record

from benchmark.errors import UserError
from benchmark.records.record import RECORD, SCHEMA, Record, Status


@pytest.mark.parametrize("status", Status)
def test_what_is_written_is_read(tmp_path, status):
    made = replace(record("a"), status=status, areas={"mean": {"cmd": 0.1}}, accuracy=1 / 3)
    made.write(tmp_path / RECORD)
    assert Record.read(tmp_path / RECORD) == made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(schema=SCHEMA - 1), f"has schema {SCHEMA - 1}; this version reads {SCHEMA}"),
        (dict(status="perhaps"), "is damaged: 'perhaps' is not a valid Status"),
        (dict(mood="good"), "is damaged: 'mood'; delete its folder"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, changes, message):
    record("a").write(tmp_path / RECORD)
    content = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(content | changes))
    with pytest.raises(UserError, match=message):
        Record.read(tmp_path / RECORD)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}"])
def test_a_file_that_holds_no_record_is_refused(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        Record.read(tmp_path / RECORD)
