"""Records on disk with circuits of any size, and a browser to look at their report with."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.made.records import COST, record

from benchmark.digests import digest_of_file
from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES, TABLE

GRAPH = ComputationalGraph(12, 12)
PROGRAMS = ("chromium", "chromedriver")


def saved(results_dir, key, sizes, seed=0, graph=GRAPH, **changes):
    """A finished record whose circuits are the edges of largest random scores; gives the scores."""
    exists = graph.exists.numpy()
    scores = np.where(exists, np.random.default_rng(seed).normal(size=exists.shape), 0)
    ranks = np.where(exists, np.abs(scores), -1).ravel().argsort()[::-1]
    keep = np.zeros((len(sizes), exists.size), dtype=np.float32)
    for row, size in zip(keep, sizes, strict=True):
        row[ranks[:size]] = 1
    place = results_dir / key
    place.mkdir(parents=True)
    words, shape = tuple(f"size={size}" for size in sizes), (-1, *exists.shape)
    StoredCircuits(graph.outline, keep.reshape(shape), words, tuple(sizes)).write(
        place / CIRCUITS_FILE
    )
    StoredScores(graph.outline, scores[None], ("",), (False,)).write(place / SCORES)
    _table(sizes, words).to_parquet(place / TABLE, index=False)
    ends = {end: {"loss_gap": gap} for end, gap in (("empty", 9.0), ("full", 0.0))}
    made = record(
        key, seed=seed, cost=COST, n_edges=graph.n_edges, areas={"mean": {"cpr": 0.5, "cmd": 0.4}},
        ends={"mean": ends}, accuracy=0.9, **changes,
    )  # fmt: skip
    files = {name: digest_of_file(place / name) for name in (CIRCUITS_FILE, SCORES, TABLE)}
    replace(made, files=files).write(place / RECORD)
    return scores


def _table(sizes, words):
    gaps = np.linspace(5, 0.1, len(sizes))
    return pd.DataFrame(
        {
            "circuit": range(len(sizes)), "setting": words, "ablation": "mean",
            "requested_size": pd.array(sizes, dtype="Int64"), "size": sizes, "loss_gap": gaps,
            "loss_gap_low": gaps / 2, "loss_gap_high": gaps * 2, "faithfulness": 1 - gaps / 9,
        }
    )  # fmt: skip


def started_browser():
    """Chromium without a window; skips the test where there is none."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    places = [shutil.which(program) for program in PROGRAMS]
    if None in places:
        pytest.skip(f"{' and '.join(PROGRAMS)} are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = places[0]
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        return selenium.Chrome(options=options, service=selenium.ChromeService(places[1]))
    except Exception as error:  # a browser that is there may not run here
        pytest.skip(f"chromium does not start: {type(error).__name__}: {error}")
