"""Prompts of a cell: what record, log and table tell of them."""

import json
import logging

import pytest
import torch
from support.cells import cell
from support.command import run_in_fork
from support.paths import CASES

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.evaluation.whole_answers import WHOLE_ANSWER
from benchmark.models.loading import load_model
from benchmark.prompts.task import PromptTask, Split
from benchmark.records.record import LOG, Status
from benchmark.run.from_python import run_cell as run_cell_of
from benchmark.run.prompts import Prompts
from benchmark.run.runner import run_cell

OWN = CASES / "own_data"
QUICK = dict(n_train=60, n_test=60, sizes=[0.1], model="tiny_gpt2", ablation="counterfactual")


def finished(tmp_path, name, method="eap", ablation=None, **task):
    changes = {"task": {"data": str(OWN / name), **task}, "ablation": ablation or {}}
    return run_cell_of("own_data", method, changes=changes, results_dir=str(tmp_path), **QUICK)


def written(name, split):
    rows = map(json.loads, (OWN / name).read_text().splitlines())
    return [row for row in rows if row["split"] == split]


@pytest.mark.slow
def test_rows_left_out_stand_in_record_log_and_table(tmp_path):
    typed = ["task=own_data", f"task.data={OWN / 'half_misfit.jsonl'}", "method=eap", "threads=1"]
    typed += ["model=tiny_gpt2", "ablation=counterfactual", "sizes=[0.1]", "n_train=60"]
    first, again = (run_in_fork("run", *typed, cwd=tmp_path) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr
    (log,) = (tmp_path / "results").glob(f"*/{LOG}")
    record = json.loads((log.parent / "record.json").read_text())
    for split in ("train", "test"):
        told = f"30 of 60 {split} rows do not fit the tokenizer and are left out: 30 because '"
        assert any(line.startswith(told) for line in record["warnings"])
        assert told in log.read_text() and told in first.stderr
        for shown in (first.stdout, again.stdout):
            assert f"30 of 60 {split} rows" in " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize("prepend_bos", [True, False])
def test_a_kept_first_position_that_is_no_start_token_is_told_of(tmp_path, prepend_bos):
    name = "first_token.jsonl"
    found = finished(tmp_path, name, prepend_bos=prepend_bos)
    told = [line for line in found.record.warnings if "keep_first=true" in line]
    if prepend_bos:
        assert told == []
        return
    for split in ("train", "test"):
        rows = written(name, split)
        differ = sum(row["clean"].split()[0] != row["corrupted"].split()[0] for row in rows)
        assert differ > 0
        start = f"{differ} of {len(rows)} {split} prompts have another first token than their corr"
        assert sum(line.startswith(start) for line in told) == 1
    ablated = finished(tmp_path, name, prepend_bos=False, ablation={"keep_first": False})
    assert not any("keep_first" in line for line in ablated.record.warnings)
    assert ablated.table["loss_gap"].iloc[0] != found.table["loss_gap"].iloc[0]


def test_a_content_word_that_all_prompts_begin_with_is_told_of(tmp_path):
    found = finished(tmp_path, "bom.csv", prepend_bos=False)
    told = [line for line in found.record.warnings if "begin with no BOS token" in line]
    assert len(told) == 2 and "of 60 train prompts" in told[0]


def test_only_the_first_token_of_an_answer_counts_and_it_is_said_so(tmp_path):
    row = {"clean": "When Mary and John went to the store, John gave a ring to"}
    row |= {"corrupted": "When Mary and John went to the store, Mary gave a ring to"}
    rows = [
        {name: text.replace("store", place) for name, text in row.items()}
        | {"answers": answers, "wrong": " John", "split": split}
        for place, answers in (("store", [" Mary and John"]), ("school", [" Mary", " Lisa"]))
        for split in ("train", "test")
    ]
    for number, one in enumerate(rows):
        one["clean"], one["corrupted"] = (
            one[name].replace("ring", ("ring", "kiss")[number % 2])
            for name in ("clean", "corrupted")
        )
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    found = finished(tmp_path, path)
    for split, ending in (("train", ""), ("test", f"; {WHOLE_ANSWER} counts all of them")):
        assert (
            f"1 of 3 right {split} answers have several tokens, of which only the first counts: "
            f"' Mary and John' counts as ' Mary'{ending}"
        ) in found.record.warnings
    shown = run_in_fork("tasks", "show", "task=own_data", f"task.data={path}", "model=tiny_gpt2",
                        "split=test", cwd=tmp_path)  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.replace("│", " ").split())
    assert "(counts as" in text and text.count("counts") == 1


def of_places(tmp_path, answer):
    """Rows of one pattern, whose answers are long or short."""
    pattern = "When Mary and John went to the {}, {} gave a {} to"
    rows = [
        {"clean": pattern.format(place, "John", thing)}
        | {"corrupted": pattern.format(place, "Mary", thing)}
        | {"answers": answer, "wrong": " John", "split": split}
        for place, split in (("store", "train"), ("school", "test"))
        for thing in ("ring", "kiss")
    ]
    path = tmp_path / f"{len(answer)}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_whole_answers_are_measured_where_some_have_several_tokens(tmp_path):
    long, short = (
        finished(tmp_path, of_places(tmp_path, answer)) for answer in (" Mary and John", " Mary")
    )
    assert WHOLE_ANSWER not in short.table.columns
    (ablation,) = long.record.ends.keys() - {"difference"}
    ends = long.record.ends[ablation]
    model, first = load_model("tiny_gpt2"), configured("metric", "cross_entropy")
    task = configured("task", "own_data", data=str(of_places(tmp_path, " Mary and John")))
    batch = task.batch(model.tokenizer, Split.test, 2)
    said = model.hugging_face(torch.cat([batch.clean, batch.whole_answers[:, 0]], 1)).logits
    after = said[:, batch.n_positions - 1 : -1].log_softmax(-1)
    tokens = batch.whole_answers[:, 0, :, None]
    expected = -float(after.gather(-1, tokens).sum((1, 2)).mean())
    assert ends["full"][WHOLE_ANSWER] == pytest.approx(expected, abs=1e-4)
    assert expected > float(first(after[:, 0], batch, after[:, 0]).mean())
    shared = [*short.table.columns]
    assert long.table[shared].equals(short.table)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (" Mary gargantua", "; the tokenizer of tiny_gpt2 does not know all that follows it"),
        (" Mary" + " and John" * 60, "with its whole answer is longer than tiny_gpt2 reads"),
    ],
)
def test_whole_answers_that_a_model_cannot_say_are_not_measured(tmp_path, answer, told):
    found = finished(tmp_path, of_places(tmp_path, answer))
    assert WHOLE_ANSWER not in found.table.columns
    assert any(line.endswith(told) for line in found.record.warnings)


def test_a_model_that_cannot_do_the_task_is_warned_about(tmp_path, caplog):
    logging.getLogger("benchmark").propagate = True
    record = run_cell(cell(tmp_path, task="docstring", method="random")).record
    assert record.status is Status.done
    assert record.accuracy < 0.5
    assert any("with an accuracy of" in warning for warning in record.warnings)


@pytest.mark.slow
def test_the_table_of_a_run_says_that_a_model_cannot_do_the_task(tmp_path):
    typed = ["task=docstring", "model=tiny_gpt2", "method=random", "ablation=counterfactual"]
    typed += ["n_train=8", "n_test=8", "sizes=[0.1]", "threads=1"]
    shown = run_in_fork("run", *typed, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.replace("│", " ").split())
    assert "tiny_gpt2 does this task with an accuracy of 0." in text


def test_a_task_with_fewer_prompts_gives_what_it_has(tmp_path):
    settings = cell(tmp_path, task="gender_bias", model="toy_gpt2", method="random", n_test=1000)
    record = run_cell(settings).record
    assert any("test prompts, not 1000: all there are" in warning for warning in record.warnings)


@pytest.mark.parametrize("row", [{"wrong_tokens": []}, {"answer_tokens": []}])
@pytest.mark.parametrize("which", ["first", "all"])
def test_prompts_without_answers_are_refused_before_they_move_to_the_device(
    tmp_path, monkeypatch, row, which
):
    drawn = PromptTask.dataset

    def without(*args, **settings):
        rows = drawn(*args, **settings)
        return rows.map(lambda _, at: row if at == 0 or which == "all" else {}, with_indices=True)

    monkeypatch.setattr(PromptTask, "dataset", without)
    # On the meta device, as on a GPU, nothing can be looked at in passing.
    model = load_model("tiny_gpt2", device="meta", check=False)
    with pytest.raises(UserError, match=r"ioi under .*: this metric needs right and wrong answers"):
        Prompts.of(cell(tmp_path), model)
