"""Every module can be imported."""

import pkgutil
from importlib import import_module

import pytest

PACKAGES = ("benchmark", "methods", "tasks")


def modules(name):
    package = import_module(name)
    inside = pkgutil.walk_packages(package.__path__, f"{name}.")
    return [name, *(module.name for module in inside)]


@pytest.mark.parametrize("name", [module for package in PACKAGES for module in modules(package)])
def test_a_module_can_be_imported(name):
    assert import_module(name).__doc__
