"""What the public evaluator of MIB's board makes of a folder, written anew from its rules.

It knows nothing of our reader: files are loaded as they are, errors are swallowed as there, and a
column is what is left.
"""

import json
from pathlib import Path

import numpy as np
import torch

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
TASKS = (
    "ioi", "mcqa", "arithmetic-addition", "arithmetic-subtraction", "arc-easy", "arc-challenge",
    "arithmetic_addition", "arithmetic_subtraction", "arc_easy", "arc_challenge",
)  # fmt: skip
MODELS = ("gpt2", "qwen2.5", "gemma2", "llama3")


def columns(place: Path) -> dict[tuple[str, str, str], list[set[int]]]:
    """By task, model and score, the edges (flat places) of the circuit at each of nine shares."""
    found = {}
    for folder in place.iterdir():
        name = folder.name.lower()
        if "abs" in name and ("true" in name or "false" in name):
            score = "CMD" if "true" in name else "CPR"
            found |= {key: of for key, of in columns(folder).items() if key[2] == score}
            continue
        task, model = (_named(folder.name, options) for options in (TASKS, MODELS))
        if task is None or model is None:
            continue
        for score in ("CPR", "CMD"):
            try:
                circuits = _circuits(folder, score)
            except Exception:  # as there
                continue
            # Names of result files are taken apart at underscores.
            parts = f"{task}_{model}".split("_")
            found[parts[0], parts[1], score] = circuits
    return found


def _named(name, options):
    given = [o for o in options if name.startswith(o) or f"_{o}" in name]
    return given[-1] if given else None


def _circuits(folder, score):
    files = [file for file in folder.iterdir() if file.suffix in (".pt", ".json")]
    if len(files) == 1:
        _, scores, exists = _loaded(files[0])
        rank = np.where(exists, np.abs(scores) if score == "CMD" else scores, -np.inf)
        order = np.argsort(-rank, axis=None, kind="stable")
        n_edges = int(exists.sum())
        return [set(order[: int(share * n_edges)].tolist()) for share in SHARES]
    # Without files there is nothing to sort, which raises an error there.
    first, *_ = files
    assert first
    found = [set(np.flatnonzero(_loaded(file)[0]).tolist()) for file in files[:9]]
    return sorted(found, key=len)


def _loaded(file):
    """What is in, the scores, and which edges exist."""
    if file.suffix == ".pt":
        content = torch.load(file, weights_only=True)
        exists = _exists(content["cfg"])
        kept = content["edges_in_graph"].numpy()
        return kept & exists, content["edges_scores"].numpy(), exists
    content = json.loads(file.read_text())
    exists = _exists(content["cfg"])
    kept, scores = (np.zeros(exists.shape, dtype=kind) for kind in (bool, float))
    for place, name in zip(np.flatnonzero(exists), content["edges"], strict=True):
        kept.flat[place] = content["edges"][name]["in_graph"]
        scores.flat[place] = content["edges"][name]["score"]
    return kept, scores, exists


def _exists(cfg):
    layers, heads, _ = cfg["n_layers"], cfg["n_heads"], cfg["d_model"]
    reads = [
        1 + layer * (heads + 1) + (heads if reader == 3 * heads else 0)
        for layer in range(layers)
        for reader in range(3 * heads + 1)
    ]
    n_sources = 1 + layers * (heads + 1)
    return np.arange(n_sources)[:, None] < np.array([*reads, n_sources])
