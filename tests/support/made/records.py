"""Records made up, for reports; and the records of an offline file of the mirror."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.digests import digest, digest_of_file
from benchmark.records.record import CIRCUITS_FILE, RECORD, TABLE, Record, Status
from benchmark.report.frame import Results, all_labels


def record(key, method="eap", task="ioi", seed=0, status=Status.done, **changes):
    names = dict(task=task, method=method, ablation="mean", model="toy")
    config = {kind: {"_target_": name} for kind, name in names.items()} | dict(
        seed=seed, n_train=8, n_test=8, sizes=[1.0], attribution_metric=None, training_steps=None
    )
    config |= changes.pop("config", {})
    made = Record(
        key=key,
        status=status,
        names=names,
        family=task,
        config=config,
        created="now",
        model={"files": "weights"},
        n_edges=110,
        data={split: digest([split, seed]) for split in ("train", "test")},
        areas={"mean": {}},
        evaluation={"mean": ["Mean", {"keep_first": True}]},
        versions={"task": 1, "method": 1, "ablation-bench": "1"},
        files={name: digest(name) for name in (TABLE, CIRCUITS_FILE)},
    )
    return replace(made, **changes)


def seal_anew(place: Path) -> None:
    """Let the record in a folder name the files beside it as they are now."""
    made = Record.read(place / RECORD)
    files = {name: digest_of_file(place / name) for name in made.files}
    replace(made, files=files).write(place / RECORD)


def of_gpt2(made, family="ioi"):
    """The record, as one of GPT-2 small from the hub."""
    settings = {"_target_": "x", "name": "gpt2", "revision": None}
    return replace(
        made, family=family, model={"files": None}, config=made.config | {"model": settings}
    )


def results(*records):
    return Results({r.key: r for r in records}, all_labels(list(records)), pd.DataFrame())


def offline_records(path):
    """The records of an offline file, once the process that writes it has come to the end."""
    deadline = time.monotonic() + 60
    while True:
        found = list(_written(path.read_bytes()))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < deadline, f"{path} does not end"
        time.sleep(0.1)


def _written(data):
    """Records in LevelDB's log format, with protocol buffers in it."""
    from wandb.proto import wandb_internal_pb2

    position, part = 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = (
            int.from_bytes(data[position + 4 : position + 6], "little"),
            data[position + 6],
        )
        part += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            yield record
            part = b""


def score_rows(found, values=None):
    rows = [
        {
            **found.labels[r.key], "evaluation": "mean", "seed": r.config["seed"], "key": r.key,
            "value": (values or {}).get(r.key, 1.0), "low": np.nan, "high": np.nan,
            "part": "", "ended": r.created, "passes": 10.0, "seconds": 1.0,
        }
        for r in found.done
    ]  # fmt: skip
    return pd.DataFrame(rows)


COST = {"method": dict.fromkeys(("forward", "backward", "seconds"), 1.0)}
AREAS = {"mean": {"cpr": 0.8, "cmd": 0.3}}


def curve(found, **columns):
    """Three circuits for each record, of which each contains the one before."""
    rows = pd.DataFrame(
        {
            "circuit": [0, 1, 2], "setting": ["a", "b", "c"], "evaluation": "mean",
            "requested_size": pd.array([10, 20, 50], dtype="Int64"), "size": [10, 20, 50],
            "loss_gap": [1.0, 0.5, 0.1], "loss_gap_low": [0.9, 0.4, 0.0],
            "loss_gap_high": [1.1, 0.6, 0.2], "faithfulness": [0.1, 0.5, 1.2],
            "edge_recall": [0.25, 0.5, 1.0], "edge_false_positive_rate": [0.0, 0.1, 0.4],
            "component_recall": [0.5, 0.5, 1.0], "component_false_positive_rate": [0.2, 0.3, 0.5],
            "n_edges": 100, **columns,
        }
    )  # fmt: skip
    return pd.concat(
        [rows.assign(**found.labels[r.key], key=r.key, seed=r.config["seed"]) for r in found.done],
        ignore_index=True,
    )


def recovered(*values, **changes):
    """A record for each pair of AUROCs, of seeds 0, 1, ..."""
    method = changes.pop("method", "eap")
    return [
        record(
            f"{method}{seed}", method, seed=seed, cost=COST, areas=AREAS, n_edges=100,
            recovery={"auroc_edges": edges, "auroc_components": nodes}, **changes,
        )
        for seed, (edges, nodes) in enumerate(values)
    ]  # fmt: skip


def drawn(found, **columns):
    return replace(found, tables=curve(found, **columns))
