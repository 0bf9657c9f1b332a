"""Records of studies of nodes as a run would leave them, with made-up truth and estimates."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmark.digests import digest, digest_of_file
from benchmark.records.record import RECORD, TABLE, TENSORS, Record, Status
from benchmark.seeds import generator
from benchmark.tensors import write_tensors
from methods.importance.nodes.estimator import NOT_JUDGED
from methods.importance.nodes.recall import recall_summary, recall_table, spent_by_ranking
from methods.importance.nodes.sums import SubsamplingSums

CONFIDENCES = {"bound_90": 0.9, "bound_99": 0.99, "bound_999": 0.999}


def made_up_record(folder: Path, kind, method, table, tensors, summary=None, **given) -> Record:
    """Write it; `given` are the names task and model, the seed, n_train and settings."""
    names = dict(task=given.get("task", "ioi"), model=given.get("model", "toy_gpt2"))
    names |= dict(method=method, ablation="counterfactual")
    seed, n_pairs = given.get("seed", 0), given.get("n_train", 1)
    asked = dict(nodes=given.get("nodes", "attention"), positions="each", direction="noising")
    config: dict[str, Any] = {name: {"_target_": value} for name, value in names.items()}
    # Reports are found beside the study, by where its class lies.
    config["method"]["_target_"] = f"methods.importance.{method}.MadeUp"
    config["method"] |= asked | given.get("settings", {})
    words = (kind, *names.values(), seed, n_pairs, *asked.values(), *config["method"].values())
    key = "-".join(map(str, words)).replace(" ", "")
    config |= dict(seed=seed, n_train=n_pairs, n_test=8, sizes=[])
    config |= dict(attribution_metric=None, training_steps=None)
    (folder / key).mkdir(parents=True)
    table.to_parquet(folder / key / TABLE, index=False)
    write_tensors(folder / key / TENSORS, tensors, {})
    record = Record(
        key=key,
        kind=kind,
        status=Status.done,
        names=names,
        config=config,
        created="now",
        model={"files": given.get("files", "weights")},
        n_edges=110,
        data={"train": digest(f"prompts {seed}")},
        summary=summary or {},
        files={name: digest_of_file(folder / key / name) for name in (TABLE, TENSORS)},
    )
    record.write(folder / key / RECORD)
    return record


def write_arrays(path: Path, arrays) -> None:
    write_tensors(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, {})


def made_up_effects(n_nodes, n_pairs, seed=0):
    """Effects over many factors of ten, of either sign from pair to pair."""
    draw = generator(seed, "effects")
    sizes = (3 * torch.randn(n_nodes, generator=draw, dtype=torch.float64) - 6).exp()
    signs = 0.7 + torch.randn(n_pairs, n_nodes, generator=draw, dtype=torch.float64)
    return sizes * signs


def write_recall(folder, method, *, noise, missed=0.0, n_nodes=60, repeats=1, **given):
    """A method whose estimates are off by a random factor, and near zero for some nodes.

    Nothing judges it with the setting judge=False. `given` may say how many passes it took.
    """
    n_pairs, seed = given.get("n_train", 1), given.get("seed", 0)
    effects = made_up_effects(n_nodes, n_pairs)
    contribution = effects.abs().mean(0)
    draw = generator(seed, method, str(given.get("settings")))
    guesses = []
    for _ in range(repeats):
        factor = (noise * torch.randn(n_nodes, generator=draw, dtype=torch.float64)).exp()
        lost = torch.rand(n_nodes, generator=draw) < missed
        guesses.append(contribution * factor * torch.where(lost, 1e-3, 1.0))
    passes = given.get("passes", 3)
    spent = torch.stack([spent_by_ranking(one, passes, n_pairs, seed) for one in guesses])
    node = torch.arange(n_nodes)
    tensors = dict(layer=node // 16, site=node % 4, unit=node % 16, position=node % 7)
    tensors |= dict(estimate=guesses[0])
    if not given.get("settings", {}).get("judge", True):
        return made_up_record(folder, "node_importance", method, NOT_JUDGED, tensors, **given)
    tensors |= dict(contribution=contribution, spent=spent, truth=effects)
    summary = recall_summary(contribution, spent, n_pairs) | {"estimation_passes": float(passes)}
    table = recall_table(contribution, spent, n_pairs)
    return made_up_record(folder, "node_importance", method, table, tensors, summary, **given)


def write_missed_effects(folder, *, known=True, n_nodes=60, most_draws=64, repeats=1, **given):
    """Bounds on the effects of all but the largest tenth, which add up."""
    effects = made_up_effects(n_nodes, 1, seed=given.get("seed", 0))[0]
    verified = effects.abs() >= effects.abs().quantile(0.9)
    rest = effects[~verified]
    rows = []
    for repeat in range(repeats):
        sums, done = SubsamplingSums(len(rest)), 0
        for draws in (2**i for i in range(4, most_draws.bit_length())):
            draw = generator(repeat, "draws", draws)
            masks = torch.rand(draws - done, len(rest), generator=draw) < 0.3
            sums.add(masks, masks.double() @ rest)
            done = draws
            bounds = dict(zip(CONFIDENCES, sums.bounds([*CONFIDENCES.values()]), strict=True))
            missed = rest.abs().max().item() if known else float("nan")
            rows.append(dict(repeat=repeat, draws=draws, **bounds, largest_missed=missed))
    tensors = dict(verified=verified.to(torch.uint8)) | (
        dict(contribution=effects.abs()) if known else {}
    )
    return made_up_record(
        folder, "missed_effects", "missed_effects", pd.DataFrame(rows), tensors, **given
    )
