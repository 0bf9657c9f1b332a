"""Ablations are tested on a family of each structure."""

import pytest


@pytest.fixture
def model(method_model):
    """In place of every family."""
    return method_model
