"""Prompts of random tokens, which all tests share."""

from functools import partial

from benchmark.prompts.random_batch import random_batch as any_random_batch

random_batch = partial(any_random_batch, name="test prompts")
