"""Reference circuits are shown as they are."""

import torch
from support.problems import problem

from benchmark.config import configured
from benchmark.graph.mask import EdgeMask


def test_references_are_shown_as_they_are(gpt2):
    half = EdgeMask(
        gpt2.graph, (torch.rand(gpt2.graph.exists.shape) < 0.5) * gpt2.graph.exists.float()
    )
    reference = configured("method", "reference")
    (found,) = reference.discover(problem(gpt2, references={"half": half}), [3])
    assert torch.equal(found.mask.keep, half.keep)
    assert (found.setting, found.requested_size) == ("circuit=half", None)
    assert "no circuit" in reference.unsupported(problem(gpt2))
