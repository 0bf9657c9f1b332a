"""Cells that are made of parts are those that Hydra puts together."""

import sys

import pytest
from support.command import run_in_fork

from benchmark.cli.listing import Parts, by_word
from benchmark.cli.main import main
from benchmark.config import configured, sharing_built

# An option that looks at another setting, and one that changes settings of several parts.
TIED = """_target_: benchmark.ablations.optimal.Optimal
keep_first: true
positional: false
steps: ${constants.steps}
learning_rate: 0.01
batch_size: 4
seed: 0
"""
WIDE = """# @package _global_
n_test: 3
method:
  tolerance: 0.5
"""
NARROW = """# @package _global_
n_test: ${seed}2
"""
# Equal to what the first cell's task says, and so not to be seen beside that one.
WIDER = """# @package _global_
task:
  order: mixed
method:
  _target_: methods.circuits.random.Random
  circuits_per_size: 1
  tolerance: 0.1
"""
OPTIONS = {
    "ablation/tied": TIED,
    "experiment/wide": WIDE,
    "experiment/narrow": NARROW,
    "method/wider": WIDER,
}
TWO_TASKS = ("ablation=zero", "task=ioi,ioi_abba")
ALL = (
    "-m", "--config-dir", "own", "model=tiny_gpt2", "task=ioi", "method=random", "sizes=[5]",
)  # fmt: skip
# A grid, and how many cells of it Hydra puts together: the first, and a part for each other value.
GRIDS = {
    "parts": (("ablation=zero,mean", "seed=range(0,2)", "constants.steps=3,5"), 4),
    # Steps and the ablations that look at them are one part: each ablation, and with other steps.
    "parts that look at each other": (("ablation=zero,optimal,tied", "constants.steps=3,5"), 6),
    "parts that cannot be": (("ablation=zero", "n_train=2,0", "tracking=off,often"), 3),
    "deep settings": (("ablation=optimal", "ablation.steps=1,2", "++ablation.seed=1,2"), 4),
    "a setting that looks at a part": (("experiment=narrow", "ablation=zero,mean"), 2),
    "an option of several parts": ((*TWO_TASKS, "method=random,wider"), 2),
    "the same in the first cell": ((*TWO_TASKS, "method=wider,random"), 0),
    "an experiment of several parts": (("ablation=zero,mean", "experiment=wide,narrow"), 2),
}


@pytest.fixture
def folder(tmp_path):
    for name, text in OPTIONS.items():
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def listed(cwd, grid, parts=True):
    """What `validate` says, and how many cells Hydra put together for it."""

    def command():
        composed = []
        compose = Parts._composed

        def counted(self, given):
            composed.append(given)
            return compose(self, given)

        Parts._composed = counted
        if not parts:
            Parts.cell = lambda self, typed: None
        try:
            main()
        finally:
            sys.stdout.write(f"COMPOSED {len(composed)}\n")

    found = run_in_fork("validate", *grid, cwd=cwd, command=command)
    said, _, count = found.stdout.partition("COMPOSED ")
    return found.returncode, said, found.stderr, int(count)


@pytest.mark.slow
@pytest.mark.parametrize(("some", "n_composed"), GRIDS.values(), ids=GRIDS)
def test_cells_made_of_parts_are_those_that_hydra_puts_together(folder, some, n_composed):
    *mine, count = listed(folder, (*ALL, *some))
    *hydras, _ = listed(folder, (*ALL, *some), parts=False)
    assert mine == hydras
    assert "missing" in mine[1]
    assert count == n_composed


def test_what_is_given_is_told_apart_by_the_word_that_it_begins_with():
    given = ["task=ioi", "task.order=abba", "+task.x=1", "~method.y", "seed=3", "hydra/launcher=a"]
    assert by_word(given) == {
        "task": ("task=ioi", "task.order=abba", "+task.x=1"),
        "method": ("~method.y",),
        "seed": ("seed=3",),
        "hydra": ("hydra/launcher=a",),
    }


def test_equal_settings_are_built_once_inside_and_anew_outside():
    with sharing_built():
        first = configured("metric", "kl")
        assert configured("metric", "kl") is first
        assert configured("method", "random", tolerance=0.2).tolerance == 0.2
        assert configured("method", "random").tolerance == 0.1
    assert configured("metric", "kl") is not configured("metric", "kl")
