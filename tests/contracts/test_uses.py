"""Methods are given what they say they use, and nothing else decides the key of their records."""

import pytest
import torch
from support.cells import cell
from support.options import class_of
from support.quick import quick_or_slow

from benchmark.config import configured, configured_names, option_text
from benchmark.method.problem import USES
from benchmark.method.study import Study
from benchmark.models.loading import load_model
from benchmark.run.prompts import Prompts
from benchmark.run.runner import problem_of

METHODS = configured_names("method")
BASE = dict(sizes=[0.1, 0.5], training_steps=2, attribution_metric=None, n_test=4, n_train=3)
CHANGED = dict(
    sizes=[0.2],
    training_steps=3,
    attribution_metric="cross_entropy",
    n_test=5,
    evaluate_under=["mean"],
)
NODES = dict(positions="all", batch_size=3, repeats=1)
FEW = dict(prices=[0.01], masks_per_step=1)
SETTINGS = {
    name: NODES
    for name in METHODS
    if getattr(class_of("method", name), "kind", None) == "node_importance"
} | {
    "missed_effects": NODES | dict(verified=5, draws=4),
    "subsampling": NODES | dict(draws=4),
    "acdc": dict(thresholds=[0.1], objective="metric"),
    "ugs": FEW,
    "hcgs": FEW,
}


def cell_of(name, results_dir, **changes):
    settings = BASE | {"method_settings": SETTINGS.get(name, {})} | changes
    method = settings.pop("method_settings")
    made = cell(results_dir, method=name, **settings)
    made.method.update(method)
    return made.checked()


@pytest.fixture(scope="module")
def model():
    return load_model("tiny_gpt2", device="cpu", check=False)


def answer(chosen, model):
    """Everything that the method of a cell finds, as tensors; or why it cannot."""
    prompts = Prompts.of(chosen, model)
    problem = problem_of(chosen, model, prompts, chosen.folder)
    method = chosen.built_method
    reason = method.unsupported(problem)
    if reason is not None:
        return reason
    if isinstance(method, Study):
        table = method.study(problem, prompts.held_out).table
        return [torch.tensor(table.select_dtypes("number").to_numpy(dtype=float))]
    return [found.mask.keep for found in method.discover(problem, chosen.sizes_of(model.graph))]


# One of each way of working; the others compute other things from the same.
RUN = ("eap", "hisp", "random", "reference", "edge_pruning", "atp", "iterative")


@pytest.mark.parametrize("name", quick_or_slow(METHODS, RUN))
def test_what_a_method_does_not_use_changes_nothing(name, model, tmp_path):
    base = cell_of(name, tmp_path / "a")
    unused = {what: value for what, value in CHANGED.items() if what not in base.uses}
    other = cell_of(name, tmp_path / "b", **unused)
    assert other.key == base.key
    if name in RUN:
        _check_answers(answer(base, model), answer(other, model))
    # Nor does a record of one say what was typed for the other.
    typed = {"results_dir": None}
    assert base.settings() | typed == other.settings() | typed


def _check_answers(mine, theirs):
    assert type(mine) is type(theirs) and len(mine) == len(theirs)
    assert isinstance(mine, str) or all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize("name", quick_or_slow(METHODS, RUN))
def test_what_a_method_uses_decides_the_key(name, tmp_path):
    base = cell_of(name, tmp_path)
    assert base.built_method.uses <= USES
    for what in base.uses - {"references"}:
        assert cell_of(name, tmp_path, **{what: CHANGED[what]}).key != base.key, what


# Settings with which a method does not look at one of the cell's.
OWN = {
    "ugs": (dict(steps=5), "training_steps"),
    "hcgs": (dict(steps=5), "training_steps"),
    "subnetwork_probing": (dict(steps=5), "training_steps"),
    "edge_pruning": (dict(targets=[0.9]), "sizes"),
    "hap": (dict(steps=5), "training_steps"),
    "acdc": (dict(objective="kl"), "attribution_metric"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_setting_of_its_own_takes_the_place_of_the_cells(name, tmp_path):
    own, what = OWN[name]
    changed = {what: CHANGED[what]}
    settings = SETTINGS.get(name, {}) | own
    base, other = (
        cell_of(name, tmp_path, method_settings=settings, **typed) for typed in ({}, changed)
    )
    assert base.key == other.key
    assert base.settings()[what] == other.settings()[what]
    assert cell_of(name, tmp_path, **changed).key != cell_of(name, tmp_path).key


def test_classes_of_one_group_have_names_of_their_own():
    """A key holds the name of a class and not where it lies."""
    for group in ("method", "task", "ablation", "metric"):
        # Those that wait for the user's data are of classes that others have too, or own.
        classes = {
            type(configured(group, name))
            for name in configured_names(group)
            if "own" not in name and "data: ???" not in option_text(group, name)
        }
        assert len({found.__qualname__ for found in classes}) == len(classes)


def test_a_method_that_does_not_name_what_it_looks_at_is_told(model, tmp_path, monkeypatch):
    from methods.circuits.eap import EAP

    monkeypatch.setattr(EAP, "uses", frozenset({"sizes"}))
    with pytest.raises((TypeError, AttributeError), match="names attribution_metric in its uses"):
        answer(cell_of("eap", tmp_path), model)
