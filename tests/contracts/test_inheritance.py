"""No towers: what a class of the methods does is read in three files at most."""

import importlib
import inspect
import pkgutil
from enum import Enum

import methods

HIGHEST = 2
PROJECT = {"benchmark", "methods", "tasks"}


def classes_above(of):
    above = of.__mro__[1:]
    ours = (each for each in above if each.__module__.split(".")[0] in PROJECT)
    return [each for each in ours if not getattr(each, "_is_protocol", False)]


def classes():
    for module in pkgutil.walk_packages(methods.__path__, "methods."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if found.__module__ == module.name and not issubclass(found, Enum):
                yield found


def test_nothing_in_methods_has_more_than_two_classes_above_it():
    heights = {each: len(classes_above(each)) for each in classes()}
    towers = {each.__qualname__: height for each, height in heights.items() if height > HIGHEST}
    assert not towers
    assert len(heights) > 50 and max(heights.values()) == HIGHEST
