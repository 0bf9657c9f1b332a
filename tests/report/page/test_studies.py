"""The page of a study: what was published stands behind a switch, where anything was."""

from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch
from support.made.records import of_gpt2, record, results

from benchmark.config import configured
from benchmark.records.record import TENSORS
from benchmark.report.page.studies import study_part
from benchmark.tensors import write_tensors

STUDY = "methods.importance.component_ablation.ComponentAblation"
SWITCH = '<input type="checkbox" id="published">'


def components(folder, *, of_paper):
    """Results of one study of three components of GPT-2 small, or of a model of no paper."""
    made = record("zero", "component_ablation", kind="components")
    method, ablation = {"_target_": STUDY, "paper_compat": False}, {"_target_": "x.zero"}
    settings = {"ablation": ablation | {"keep_first": True}, "method": method}
    traits = asdict(configured("ablation", "zero").traits)
    names = made.names | {"ablation": "zero"}
    made = replace(made, names=names, config=made.config | settings, traits=traits, family="ioi")
    made = of_gpt2(made) if of_paper else made
    gaps = torch.tensor([[1.0, 2.0], [0.5, 0.1], [3.0, 1.0]])
    write_tensors(folder / TENSORS, {"loss_gap": gaps}, {})
    kinds = pd.DataFrame({"component": ["input", "a0.h0", "m0"], "kind": ["input", "head", "mlp"]})
    layers = pd.array([None, 0, 0], dtype="Int64")
    table = kinds.assign(layer=layers, key=made.key)
    return replace(results(made), tables=table, paths={made.key: folder})


@pytest.mark.parametrize("of_paper", [True, False])
def test_published_numbers_are_behind_a_switch_where_there_are_any(tmp_path, of_paper):
    shown = study_part("components", components(tmp_path, of_paper=of_paper), pictures=False)
    alone, _, beside = shown["html"].partition('<section class="beside">')
    assert "the largest gaps" in alone and "published: Li" not in alone
    assert (SWITCH in alone) == of_paper == ("published: Li" in beside)
