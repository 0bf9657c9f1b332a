"""Records made up, for reports; and the records of an offline file of the mirror."""

from dataclasses import replace

import pandas as pd

from benchmark.records.record import Record, Status
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
        config=config,
        created="now",
        model={"files": "weights"},
        data={"train": f"train {seed}", "test": f"test {seed}"},
        areas={"mean": {}},
        evaluation={"mean": "recipe"},
        versions={"task": 1, "method": 1, "ablation-bench": "1"},
    )
    return replace(made, **changes)


def results(*records):
    return Results(
        {r.key: r for r in records}, all_labels(list(records)), pd.DataFrame(), damaged=()
    )


def offline_records(path):
    """The records of an offline file: LevelDB's log format, with protocol buffers in it."""
    from wandb.proto import wandb_internal_pb2

    data, position, part = path.read_bytes(), 7, b""
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
