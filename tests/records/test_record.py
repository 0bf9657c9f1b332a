"""The record as a file: what is written is read, and nothing else is."""

import json
import math
import random
import re
from dataclasses import replace

import pytest
from support.made.records import record

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.records.form import SEAL, FormError
from benchmark.records.record import RECORD, SCHEMA, TABLE, Record, Status

NESTED = "[" * 100_000


def sealed(content):
    """A file as the package writes it, of any content."""
    return json.dumps(content | {SEAL: digest(content)}, indent=1, sort_keys=True) + "\n"


def content_of(made, path):
    made.write(path)
    content = json.loads(path.read_text())
    del content[SEAL]
    return content


@pytest.mark.parametrize("status", Status)
def test_what_is_written_is_read(tmp_path, status):
    made = replace(record("a"), status=status, areas={"mean": {"cmd": 0.1}}, accuracy=1 / 3)
    made.write(tmp_path / RECORD)
    assert Record.read(tmp_path / RECORD) == made


def test_the_file_is_strict_json_and_undefined_numbers_come_back(tmp_path):
    areas = {"mean": {"cmd": math.nan, "cpr": -math.inf, "log_area": math.inf, "n": 3}}
    content = content_of(replace(record("a"), areas=areas), tmp_path / RECORD)
    assert content["areas"]["mean"] == {"cmd": None, "cpr": "-inf", "log_area": "inf", "n": 3}
    assert not re.search(r"\b(NaN|Infinity)\b", (tmp_path / RECORD).read_text())
    read = Record.read(tmp_path / RECORD).areas["mean"]
    assert math.isnan(read["cmd"]) and (read["cpr"], read["log_area"]) == (-math.inf, math.inf)
    assert isinstance(read["n"], float)


@pytest.mark.slow
def test_every_flipped_bit_is_noticed(tmp_path):
    record("a", areas={"mean": {"cmd": math.inf}}).write(tmp_path / RECORD)
    whole = (tmp_path / RECORD).read_bytes()
    draw = random.Random(0)
    for _ in range(2000):
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / RECORD).write_bytes(flipped)
        with pytest.raises(UserError, match=r"is damaged: .*; run its command again, or delete"):
            Record.read(tmp_path / RECORD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(status="perhaps"), "status: 'perhaps' is not one of done, failed, skipped"),
        (dict(n_edges=0), "n_edges: a model has 1 or more"),
        (dict(n_edges=-1), "n_edges: -1 is not a finite number of 0 or more"),
        (dict(n_edges=True), "n_edges: 'True' is not of type int"),
        (dict(n_edges="x"), "n_edges: 'x' is not of type int"),
        (dict(files=None), "files: 'None' is not of type dict"),
        (dict(files={}), "files: 'table.parquet' is missing"),
        (dict(files={TABLE: "0" * 64}), "files: 'circuits.safetensors' is missing"),
        (dict(files={TABLE: "0" * 63}), "files.table.parquet: '0+' is not a SHA-256"),
        (dict(files={"../x": "0" * 64}), "files: '../x' is not the name of a file"),
        (dict(config={}), "config: 'task' is missing"),
        (dict(names={}), "names: 'task' is missing"),
        (dict(cost={"method": {"forward": -1}}), "cost.method.forward: -1.0 is not a finite"),
        (dict(cost={"method": {"forward": None}}), "cost.method.forward: nan is not a fin"),
        (dict(cost={"method": {"forward": "inf"}}), "cost.method.forward: inf is not a fin"),
        (dict(areas={"mean": {"cmd": "many"}}), "areas.mean.cmd: 'many' is not a number"),
        (dict(areas={"mean": 3}), "areas.mean: '3' is not of type dict"),
        (dict(warnings=[1]), "warnings: '1' is not of type str"),
        (dict(machine=json.loads("[" * 60 + "]" * 60)), "nested more than 50 deep"),
    ],
)
def test_what_may_not_be_is_damage_even_if_it_is_sealed(tmp_path, changes, message):
    content = content_of(record("a"), tmp_path / RECORD) | changes
    (tmp_path / RECORD).write_text(sealed(content))
    with pytest.raises(UserError, match=f"is damaged: .*{message}"):
        Record.read(tmp_path / RECORD)


@pytest.mark.parametrize("seed", [None, "1", 0.5], ids=["none", "text", "fraction"])
def test_a_seed_is_a_whole_number(tmp_path, seed):
    with pytest.raises(FormError, match="config: 'seed' is not of type int"):
        record("a", config={"seed": seed}).write(tmp_path / RECORD)
    assert not (tmp_path / RECORD).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(schema=SCHEMA - 1), f"its schema is {SCHEMA - 1}, not {SCHEMA}"),
        (dict(mood="good"), "it has the field 'mood'"),
    ],
)
def test_another_version_is_named(tmp_path, changes, message):
    content = content_of(record("a"), tmp_path / RECORD) | changes
    (tmp_path / RECORD).write_text(sealed(content))
    version = re.escape(f"another version (ablation-bench 1, schema {content['schema']})")
    with pytest.raises(UserError, match=f"was written by {version}: {message}; run its command"):
        Record.read(tmp_path / RECORD)


def test_records_from_before_there_was_a_seal_are_of_another_version(tmp_path):
    content = content_of(record("a"), tmp_path / RECORD)
    (tmp_path / RECORD).write_text(json.dumps(content | {"schema": 3}))
    with pytest.raises(UserError, match=r"written by another version .*, schema 3"):
        Record.read(tmp_path / RECORD)
    (tmp_path / RECORD).write_text(json.dumps(content))
    with pytest.raises(UserError, match="is damaged"):
        Record.read(tmp_path / RECORD)


def test_the_same_content_in_another_layout_is_damage(tmp_path):
    record("a").write(tmp_path / RECORD)
    (tmp_path / RECORD).write_text(json.dumps(json.loads((tmp_path / RECORD).read_text())))
    with pytest.raises(UserError, match="is damaged: it is not written as records are"):
        Record.read(tmp_path / RECORD)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", NESTED, '{"a":' * 100_000, "9" * 10_000])
def test_a_file_that_holds_no_record_is_refused(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        Record.read(tmp_path / RECORD)
