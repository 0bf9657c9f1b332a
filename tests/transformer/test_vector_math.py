"""The warm-up of the vector math, with functions that are wrong at first or for ever."""

import pytest
import torch

from benchmark.errors import UserError
from benchmark.transformer import vector_math
from benchmark.transformer.vector_math import FUNCTIONS, sound_vector_math


@pytest.fixture(autouse=True)
def _fresh():
    vector_math._sound.cache_clear()
    yield
    vector_math._sound.cache_clear()


def wrong_for(calls, monkeypatch):
    """Let the first calls of tanh by many numbers be wrong; gives all sizes it is called with."""
    sizes, real = [], torch.tanh

    def tanh(x):
        sizes.append(x.numel())
        many = sum(size == vector_math.MANY for size in sizes)
        return real(x) + (1e-5 * many if x.numel() == vector_math.MANY and many <= calls else 0)

    monkeypatch.setattr(torch, "tanh", tanh)
    return sizes


def test_a_wrong_first_call_is_counted_and_then_gone(monkeypatch):
    sizes = wrong_for(1, monkeypatch)
    assert sound_vector_math() == 2 - 1  # the first dtype alone has wrong calls
    assert sizes[0] < sizes[1] == sizes[2] == sizes[3]
    n_calls = len(sizes)
    assert sound_vector_math() == 1
    assert len(sizes) == n_calls


def test_what_never_agrees_is_refused(monkeypatch):
    wrong_for(10**6, monkeypatch)
    with pytest.raises(UserError, match=r"torch\.tanh gives other numbers at every call"):
        sound_vector_math()


def test_every_number_of_threads_is_warmed_up(monkeypatch):
    sizes = wrong_for(0, monkeypatch)
    for threads in (1, 2, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        sound_vector_math()
    assert len(sizes) == 2 * 2 * 3


def test_the_functions_are_right():
    assert sound_vector_math() >= 0
    x = torch.linspace(0.01, 4, 1000)
    for name in FUNCTIONS:
        function = getattr(torch, name)
        torch.testing.assert_close(function(x), function(x.double()).float())
