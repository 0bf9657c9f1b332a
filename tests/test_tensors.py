"""Files of tensors: the same bytes each time, and no flipped bit passes."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmark.errors import UserError
from benchmark.tensors import read_arrays, read_tensors, write_tensors

FACTS = {"question": "what?", "model": 'a "name" with ü', "c": "", "sha256-like": "0" * 64}


def tensors():
    base = torch.arange(6.0).reshape(2, 3)
    return {
        "shared": base, "view": base[:, 1], "turned": base.T, "empty": torch.zeros(0, 0),
        "scalar": torch.tensor(7), "flags": torch.tensor([True, False]),
        "half": base.bfloat16(), "double": base.double() / 3,
    }  # fmt: skip


def test_tensors_and_facts_come_back(tmp_path):
    path, written = tmp_path / "x.safetensors", tensors()
    write_tensors(path, written, FACTS)
    found, facts = read_tensors(path)
    assert facts == FACTS and found.keys() == written.keys()
    for name, tensor in written.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
    write_tensors(path, {"double": written["double"]}, FACTS)
    arrays, facts = read_arrays(path)
    assert facts == FACTS and np.array_equal(arrays["double"], written["double"].numpy())


def test_others_can_read_the_file(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, tensors(), FACTS)
    with safe_open(path, framework="pt") as file:
        assert file.metadata().items() >= FACTS.items()
        assert torch.equal(file.get_tensor("turned"), tensors()["turned"])


@pytest.mark.slow
def test_equal_content_is_equal_bytes_in_every_process(tmp_path):
    """Of safetensors' own files the header is in random order."""
    facts = {letter: letter for letter in "hgfedcba"}
    write_tensors(tmp_path / "one", {"a": torch.ones(3), "b": torch.zeros(1)}, facts)
    script = (
        "import sys, torch\nfrom pathlib import Path\nfrom benchmark.tensors import write_tensors\n"
        "write_tensors(Path(sys.argv[1]), {'b': torch.zeros(1), 'a': torch.ones(3)},"
        " {x: x for x in 'abcdefgh'})"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "two"], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path):
    path, damaged = tmp_path / "x.safetensors", tmp_path / "damaged"
    write_tensors(path, {"x": torch.arange(5.0)}, {"of": "this"})
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        with pytest.raises(UserError, match="damaged"):
            read_tensors(damaged)
    for length in random.Random(0).sample(range(len(content)), 30):
        damaged.write_bytes(content[:length])
        with pytest.raises(UserError, match="damaged"):
            read_arrays(damaged)


def test_a_file_of_somebody_else_is_read_where_that_is_allowed(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.ones(2)}, path, metadata={"of": "them"})
    assert read_tensors(path, sealed=False)[1] == {"of": "them"}
    with pytest.raises(UserError, match="no digest"):
        read_tensors(path)
    write_tensors(path, {"x": torch.ones(2)}, {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="do not have the digest"):
        read_tensors(path, sealed=False)
    for text in (b"", b"\xff" * 20, b"nothing of the kind", b"\x02" + b"\0" * 7 + b"{}"):
        path.write_bytes(text)
        with pytest.raises(UserError):
            read_arrays(path)
