"""Own data as people have it: every text as it stands in its file, or one line with the row."""

import json
import time

import pytest
from datasets import Dataset, DatasetDict
from support.paths import CASES

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.prompts.task import Split
from tasks.own_rows import read_rows

OWN = CASES / "own_data"
ROW = {"clean": "a b", "corrupted": "a c", "answers": " x", "wrong": " y", "split": "test"}


def pairs(path, split=Split.test):
    return sorted(
        configured("task", "own_data", data=str(path)).pairs(split, 0), key=lambda pair: pair.clean
    )


def lines(path, *rows):
    path.write_text("".join(f"{json.dumps(ROW | row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("count_text.jsonl", [(" 4",), (" 1",), (" 3",), (" 2",)]),
        ("int_list_zero.jsonl", [("0", "1", "2")]),
        ("pipe.jsonl", [(" ||",), (" ||", " or")]),
        ("iso_dates.jsonl", [("2024-01-02",)]),
    ],
)
def test_text_stays_text(name, answers):
    assert [pair.answers for pair in pairs(OWN / name)] == answers
    assert pairs(OWN / "int_list_wrong0.jsonl")[0].wrong == ("0", "1", "2", "3")


def test_nothing_but_null_and_the_empty_text_is_missing(tmp_path):
    truth = lines(tmp_path / "truth.jsonl", {"answers": False, "wrong": [True, None]})
    zero = lines(tmp_path / "zero.jsonl", {"answers": 0, "wrong": ["", None, 1.50]})
    words = lines(tmp_path / "words.jsonl", {"answers": "NA", "wrong": ["null", "0", "nan", "||"]})
    assert (pairs(truth)[0].answers, pairs(truth)[0].wrong) == (("false",), ("true",))
    zero.write_text(zero.read_text().replace("1.5", "1.50"))
    assert (pairs(zero)[0].answers, pairs(zero)[0].wrong) == (("0",), ("1.50",))
    assert (pairs(words)[0].answers, pairs(words)[0].wrong) == (("NA",), ("null", "0", "nan", "||"))
    for empty in (None, "", [], [None]):
        with pytest.raises(UserError, match="row 1 has no 'answers'"):
            pairs(lines(tmp_path / "empty.jsonl", {"answers": empty}))


def test_a_table_of_csv_gives_what_its_cells_hold(tmp_path):
    path = tmp_path / "mine.CSV"
    path.write_text(
        "\ufeffclean,corrupted,answers,wrong,split,\n"
        '"Yes, he","No, he", 007| 7,0,test,\n'
        r"a b,a c, \|\|,false|2024-01-02,test," + "\n,,,,,\n",
        encoding="utf-8",
    )
    first, second = pairs(path)
    assert (first.clean, first.answers, first.wrong) == ("Yes, he", (" 007", " 7"), ("0",))
    assert (second.answers, second.wrong) == ((" ||",), ("false", "2024-01-02"))
    path.write_text("clean;corrupted;answers;wrong;split\r\nYes, he;No, he; a; b;test\r\n")
    assert pairs(path)[0].clean == "Yes, he"


def test_a_mark_that_spreadsheets_write_first_is_no_text():
    rows = read_rows(str(OWN / "bom.csv"), None)
    assert len(rows) == 180 and next(iter(rows[0][1])) == "clean"
    assert rows[0][1]["answers"] == [" Brian"] and rows[0][1]["wrong"] == [" Nicole"]


def test_saved_datasets_and_parquet_are_read(tmp_path):
    rows = [ROW | {"answers": [0, 1], "wrong": [2], "clean": text} for text in ("a b", "a d")]
    dataset = Dataset.from_list(rows)
    dataset.to_parquet(tmp_path / "mine.PARQUET")
    dataset.save_to_disk(tmp_path / "one")
    whole = dataset.remove_columns("split")
    splits = {"train": whole.select([0]), "test": whole.select([1])}
    splits["train"] = splits["train"].map(lambda row: row | {"corrupted": "a e"})
    DatasetDict(splits).save_to_disk(tmp_path / "splits")
    for name in ("mine.PARQUET", "one"):
        assert [pair.answers for pair in pairs(tmp_path / name)] == [("0", "1")] * 2
    assert [pair.clean for pair in pairs(tmp_path / "splits")] == ["a d"]
    assert [pair.clean for pair in pairs(tmp_path / "splits", Split.train)] == ["a b"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("count_mixed.jsonl", r"row 4 has the number 4 in 'answers', and row 1 has the text ' 1'"),
        ("mixed_one_number.jsonl", r"row 3 has the number 8 in 'answers', and row 1 .* text ' 7'"),
        ("trunc.jsonl", r"row 2 is not JSON, or is cut off: Unterminated string"),
        ("empty.csv", r"has no rows"),
        ("empty.jsonl", r"has no rows"),
        ("header_only.csv", r"has no rows"),
    ],
)
def test_files_that_cannot_be_read_are_one_line_with_the_row(name, message):
    with pytest.raises(UserError, match=message) as caught:
        pairs(OWN / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


HEADER = "clean,corrupted,answers,wrong\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", f"{HEADER}a,b,c,d\nYes, he,No,c,d\n", "row 2 has 5 cells, and the header 4"),
        ("a.csv", f"{HEADER}a,b,c\n", "row 1 has 3 cells, and the header 4"),
        ("a.csv", f'{HEADER}a,b,"c,d\n', "row 1 is not CSV: unexpected end of data"),
        ("a.csv", f"{HEADER}a,b, ||,d\n", r"row 1 has the answers ' \|\|', of which bars leave"),
        ("a.csv", f"clean,{HEADER}a,a,b,c,d\n", "has two columns 'clean'"),
        ("a.csv", HEADER.encode("utf-16"), "line 1 is not UTF-8; save the file as UTF-8"),
        ("a.csv", f"{HEADER}a,b,c,caf\u00e9".encode("latin-1"), "line 2 is not UTF-8"),
        ("a.jsonl", "[1]", "row 1 is no object"),
        ("a.jsonl", "{}\n[]\n", "row 2 is no object"),
        ("a.jsonl", '{"clean": NaN}\n', "row 1 is not JSON.*NaN is no number"),
        ("a.jsonl", "[" * 100_000, "is not JSON"),
    ],
)
def test_mistakes_of_form_are_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        pairs(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clean": 5}, "row 1 has the number 5 in 'clean'; write a text"),
        ({"subject": True}, "row 1 has the truth value True in 'subject'"),
        ({"answers": {"a": 1}}, r"row 1 has \{'a': '1'\} in 'answers'; write a text"),
        ({"answers": [[" x"]]}, r"row 1 has \[' x'\] in 'answers'"),
        ({"answers": [" x", 1]}, "row 1 has the number 1 in 'answers', and row 1 has the text"),
        ({"wrong": 1}, "row 1 has the number 1 in 'wrong', and row 1 has the text ' x'"),
        ({"wrong": " \ud800"}, "row 1 has half of a character in 'wrong'"),
    ],
)
def test_types_that_are_no_texts_are_refused_with_the_row(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        pairs(lines(tmp_path / "mine.jsonl", changes))


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"is a folder that Dataset\.save_to_disk did not write"):
        pairs(tmp_path / "folder")


def test_what_the_hubs_readers_may_have_guessed_is_refused(monkeypatch):
    rows = Dataset.from_list([ROW | {"answers": 7, "wrong": 8}])
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: DatasetDict({"test": rows}))
    with pytest.raises(UserError, match="me/mine test row 1 has 7 in 'answers', which may have"):
        pairs("me/mine")
    texts = Dataset.from_list([ROW])
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: DatasetDict({"test": texts}))
    assert pairs("me/mine")[0].answers == (" x",)


@pytest.mark.slow
def test_a_million_columns_are_refused_at_once(tmp_path):
    names = [f"c{n}" for n in range(1_000_000)]
    (tmp_path / "wide.csv").write_text(HEADER.strip() + "," + ",".join(names) + "\n")
    (tmp_path / "wide.jsonl").write_text(json.dumps(ROW | dict.fromkeys(names[:5_000], 1)))
    (tmp_path / "wider.jsonl").write_text(json.dumps(ROW | dict.fromkeys(names, 1)))
    (tmp_path / "wide.json").write_text(f"[{(tmp_path / 'wide.jsonl').read_text()}]")
    for name in ("wide.csv", "wide.jsonl", "wider.jsonl", "wide.json"):
        begun = time.process_time()
        with pytest.raises(UserError, match=r"has more than 1,000(,000)? (col|char)") as caught:
            pairs(tmp_path / name)
        assert time.process_time() - begun < 1
        assert len(str(caught.value)) < 300
