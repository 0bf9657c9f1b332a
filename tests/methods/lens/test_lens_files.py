"""Lenses in files: read back exactly, foreign ones read right, wrong models and code refused."""

import json
import math
import pickle

import pandas as pd
import pytest
import torch
from support.problems import problem
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.loading import load_model
from benchmark.run.from_python import run_cell
from methods.lens.files import (
    export_jacobian_lens,
    export_tuned_lens,
    import_jacobian_lens,
    import_tuned_lens,
    load_lens,
    save_lens,
    unembedding_digest,
)
from methods.lens.fitting.text import states_of
from methods.lens.judging.chosen import chosen_lens

TEXT = [random_batch(n_prompts=8)]
FITTED = {"logit_lens": {}, "mean_lens": {}, "resample_lens": {}, "jacobian_lens": {}} | {
    "oca_lens": dict(steps=2), "tuned_lens": dict(steps=2)
}  # fmt: skip


@pytest.mark.parametrize("name", FITTED)
def test_a_lens_comes_back_from_its_file_as_it_was(gpt2, tmp_path, name):
    lens = configured("method", name, **FITTED[name]).fit(gpt2, TEXT)
    save_lens(lens, tmp_path / "lens.safetensors")
    back = load_lens(tmp_path / "lens.safetensors", gpt2)
    states = states_of(gpt2, TEXT).before[:-1]
    assert type(back) is type(lens)
    assert torch.equal(back.finals(states), lens.finals(states))


def test_a_lens_of_another_model_or_damaged_is_refused(gpt2, models, tmp_path):
    path = tmp_path / "lens.safetensors"
    save_lens(configured("method", "mean_lens").fit(gpt2, TEXT), path)
    with pytest.raises(UserError, match="whose unembedding is not that of"):
        load_lens(path, models["llama"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_lens(path, gpt2)


def tuned_folder(path, gpt2, **config):
    """Written by hand, as the tuned-lens package does."""
    draw = torch.Generator().manual_seed(1)
    d, n = gpt2.shape.d_model, gpt2.shape.n_layers
    params = {f"{i}.weight": torch.randn(d, d, generator=draw) / d for i in range(n)}
    params |= {f"{i}.bias": torch.randn(d, generator=draw) for i in range(n)}
    path.mkdir(exist_ok=True)
    torch.save(params, path / "params.pt")
    facts = dict(base_model_name_or_path="gpt2", d_model=d, num_hidden_layers=n, bias=True)
    facts |= dict(unembed_hash=unembedding_digest(gpt2), lens_type="linear_tuned_lens")
    (path / "config.json").write_text(json.dumps(facts | config))
    return params


def test_a_tuned_lens_adds_its_map_to_the_state(gpt2, tmp_path):
    params = tuned_folder(tmp_path / "lens", gpt2)
    lens = import_tuned_lens(tmp_path / "lens", gpt2)
    states = states_of(gpt2, TEXT).before
    for layer in range(gpt2.shape.n_layers):
        weight, bias = (params[f"{layer}.{name}"].double() for name in ("weight", "bias"))
        wanted = states[layer] + states[layer] @ weight.T + bias
        assert largest(lens.final(states[layer], layer), wanted) < 1e-12
    export_tuned_lens(lens, tmp_path / "again")
    again = import_tuned_lens(tmp_path / "again", gpt2)
    assert largest(again.weight, lens.weight) < 1e-6
    assert largest(again.bias, lens.bias) < 1e-6


def test_tuned_folders_of_other_models_or_with_code_are_refused(gpt2, tmp_path):
    folder = tmp_path / "lens"
    tuned_folder(folder, gpt2, unembed_hash="0" * 64)
    with pytest.raises(UserError, match="whose unembedding is not that of"):
        import_tuned_lens(folder, gpt2)
    params = tuned_folder(folder, gpt2)
    torch.save({**params, "0.bias": torch.zeros(3)}, folder / "params.pt")
    with pytest.raises(UserError, match=r"should have 0.bias of shape"):
        import_tuned_lens(folder, gpt2)
    torch.save({**params, "9.bias": torch.zeros(3)}, folder / "params.pt")
    with pytest.raises(UserError, match=r"has 9[.]bias, which this model has no layer for"):
        import_tuned_lens(folder, gpt2)
    (folder / "params.pt").write_bytes(pickle.dumps({"0.weight": _Payload(tmp_path / "ran")}))
    with pytest.raises(UserError, match="cannot be read as tensors alone"):
        import_tuned_lens(folder, gpt2)
    assert not (tmp_path / "ran").exists()
    (folder / "params.pt").write_bytes(b"abc")
    with pytest.raises(UserError, match="cannot be read as tensors alone"):
        import_tuned_lens(folder, gpt2)
    torch.save([torch.zeros(2)], folder / "params.pt")
    with pytest.raises(UserError, match="holds a list, and no values by name"):
        import_tuned_lens(folder, gpt2)


class _Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_layer_l_of_a_jacobian_file_is_read_before_layer_l_plus_1(gpt2, tmp_path):
    d, n = gpt2.shape.d_model, gpt2.shape.n_layers
    draw = torch.Generator().manual_seed(1)
    J = {layer: torch.randn(d, d, generator=draw).half() for layer in range(n - 1)}
    path = tmp_path / "lens.pt"
    torch.save({"J": J, "n_prompts": 3, "source_layers": [*J], "d_model": d}, path)
    lens = import_jacobian_lens(path, gpt2)
    states = states_of(gpt2, TEXT).before
    assert torch.equal(lens.final(states[0], 0), states[0])
    assert largest(lens.final(states[1], 1), states[1] @ J[0].double().T) < 1e-9
    export_jacobian_lens(lens, tmp_path / "again.pt", 3)
    assert torch.equal(import_jacobian_lens(tmp_path / "again.pt", gpt2).weight, lens.weight)
    torch.save({"J": {0: torch.zeros(2, 2)}}, path)
    with pytest.raises(UserError, match="should have J of layer 0 of shape"):
        import_jacobian_lens(path, gpt2)


def test_lenses_of_files_are_judged_beside_fitted_ones(gpt2, tmp_path):
    fitted = configured("method", "mean_lens").fit(gpt2, TEXT)
    save_lens(fitted, tmp_path / "mine.safetensors")
    tuned_folder(tmp_path / "tuned", gpt2)
    d, n = gpt2.shape.d_model, gpt2.shape.n_layers
    torch.save({"J": {i: torch.eye(d) for i in range(n - 1)}}, tmp_path / "jacobian.pt")
    states = states_of(gpt2, TEXT).before[:-1]
    wanted = {
        "mine.safetensors": fitted,
        "tuned": import_tuned_lens(tmp_path / "tuned", gpt2),
        "jacobian.pt": import_jacobian_lens(tmp_path / "jacobian.pt", gpt2),
    }
    digests = set()
    for name, lens in wanted.items():
        imported = configured("method", "imported_lens", path=str(tmp_path / name))
        assert imported.unsupported(problem(gpt2)) is None
        digests.add(imported.data_digest())
        assert torch.equal(imported.fit(gpt2, TEXT).finals(states), lens.finals(states))
    assert len(digests) == 3
    nothing = configured("method", "imported_lens")
    assert "method.path=FOLDER of the tuned-lens package" in nothing.unsupported(problem(gpt2))
    with pytest.raises(UserError, match=r"is no lens; type method[.]path=results/KEY"):
        configured("method", "imported_lens", path="lens.bin").fit(gpt2, TEXT)
    with pytest.raises(UserError, match=r"method.path=nowhere.pt cannot be read"):
        configured("method", "imported_lens", path="nowhere.pt").data_digest()


@pytest.mark.slow
def test_a_lens_that_a_record_left_serves_every_study_without_a_second_fit(tmp_path):
    common = dict(model="tiny_gpt2", n_train=20, n_test=10, results_dir=str(tmp_path))

    def run(method, **changes):
        return run_cell("zoo_text", method, "counterfactual", changes={"method": changes}, **common)

    def study(**changes):
        resample = dict(directions=3, examples=3, interventions=["resample"])
        return run("lens_faithfulness", **resample, **changes)

    fitted, anew = run("oca_lens", steps=5), study(steps=5)
    assert "lens.safetensors" in fitted.record.files
    taken = study(lens=str(fitted.path))
    pd.testing.assert_frame_equal(taken.table, anew.table)
    assert taken.record.cost["method"]["forward"] == 0 < anew.record.cost["method"]["forward"]
    judged = run("imported_lens", path=str(fitted.path))
    pd.testing.assert_frame_equal(judged.table, fitted.table)


def test_a_chosen_lens_is_known_by_its_content(gpt2, tmp_path):
    path = tmp_path / "lens.safetensors"
    digests = [configured("method", "lens_faithfulness").data_digest()]
    for name in ("mean_lens", "zero_lens"):
        save_lens(configured("method", name).fit(gpt2, TEXT), path)
        digests.append(configured("method", "lens_faithfulness", lens=str(path)).data_digest())
    assert digests[0] is None and len({*digests}) == 3
    with pytest.raises(UserError, match=r"method[.]lens=imported_lens is no lens; give one of"):
        configured("method", "lens_elicitation", lens="imported_lens").data_digest()


def test_a_lens_with_a_number_that_is_none_is_refused(gpt2, tmp_path):
    lens = configured("method", "mean_lens").fit(gpt2, TEXT)
    lens.constants[0][0, 0] = math.nan
    save_lens(lens, tmp_path / "lens.safetensors")
    imported = configured("method", "imported_lens", path=str(tmp_path / "lens.safetensors"))
    with pytest.raises(UserError, match="numbers that are not finite"):
        imported.fit(gpt2, TEXT)


def test_steps_of_a_study_are_those_of_all_that_it_trains():
    lens = chosen_lens("oca_linear_lens", 7)
    assert (lens.steps, lens.oca_steps) == (7, 7)
    assert chosen_lens("logit_lens", 7) == configured("method", "logit_lens")


def test_a_lens_needs_a_model_with_a_name(gpt2, tmp_path):
    from benchmark.transformer.transformer import Transformer

    nameless = Transformer(gpt2.weights, gpt2.shape, gpt2.dtype, gpt2.device)
    lens = configured("method", "mean_lens").fit(nameless, TEXT)
    with pytest.raises(UserError, match="load the model by load_model"):
        save_lens(lens, tmp_path / "lens.safetensors")
    assert load_model  # the way that the message names
