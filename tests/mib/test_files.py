"""Circuit files of MIB: exact round trips, and files that are damaged or harm."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.made.mib import D_MODEL, GRAPH, by_hand_pt, random_mask, random_scores

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.mib.files import MibCircuit, read_mib, write_mib

graphs = st.builds(ComputationalGraph, st.integers(1, 3), st.integers(1, 3), st.booleans())
seeds = st.integers(0, 2**30)
FORMS = pytest.mark.parametrize("form", ["json", "pt"])


@pytest.mark.slow
@FORMS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(graphs, seeds, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_importances_come_back_exactly(tmp_path, form, graph, seed, dtype):
    path = tmp_path / f"circuit.{form}"
    scores = random_scores(graph, seed, dtype)
    write_mib(path, MibCircuit(scores), D_MODEL)
    found = read_mib(path, graph)
    assert found.mask is None and found.scores.signed
    assert torch.equal(found.scores.value.double(), scores.value.double())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@FORMS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(graphs, seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_circuits_come_back_exactly(tmp_path, form, graph, seed, density):
    path = tmp_path / f"circuit.{form}"
    mask = random_mask(graph, seed, density)
    write_mib(path, MibCircuit(mask=mask), D_MODEL)
    found = read_mib(path, graph)
    assert found.scores is None and torch.equal(found.mask.keep, mask.keep)
    both = MibCircuit(random_scores(graph, seed), mask)
    write_mib(path, both, D_MODEL)
    found = read_mib(path, graph)
    assert torch.equal(found.scores.value, both.scores.value)
    assert (found.mask is None) == (mask.size == 0)


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_code_in_a_file_is_never_run(tmp_path):
    path, target = tmp_path / "bad.pt", tmp_path / "it ran"
    torch.save(by_hand_pt(cfg=Malicious(target)), path)
    with pytest.raises(UserError, match="more than tensors and plain values") as refusal:
        read_mib(path, GRAPH)
    assert len(str(refusal.value).splitlines()) == 1
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()


@FORMS
def test_damaged_files_are_refused_wherever_they_end(tmp_path, form):
    path = tmp_path / f"circuit.{form}"
    with pytest.raises(UserError, match="missing, damaged"):
        read_mib(path, GRAPH)
    write_mib(path, MibCircuit(random_scores(GRAPH)), D_MODEL)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="missing, damaged"):
            read_mib(path, GRAPH)
    for content in (b"[" * 100_000, b"[1]", b"\xff\xfe", b"\x80\x02."):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_mib(path, GRAPH)


def test_what_cannot_be_written_is_refused(tmp_path):
    half = EdgeMask(GRAPH, GRAPH.exists / 2)
    for circuit, name, message in (
        (MibCircuit(mask=half), "a.pt", "keeps some in part"),
        (MibCircuit(), "a.pt", "needs scores or a mask"),
        (MibCircuit(mask=EdgeMask.full(GRAPH)), "a.txt", "does not end with .json or .pt"),
    ):
        with pytest.raises(UserError, match=message):
            write_mib(tmp_path / name, circuit, D_MODEL)
    assert not list(tmp_path.iterdir())
