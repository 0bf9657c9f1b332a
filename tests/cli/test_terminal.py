"""Names and messages are shown as they are, whatever they hold."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from benchmark.cli import terminal


@pytest.mark.parametrize("made", [str, Text])
def test_names_are_no_markup_and_control_characters_are_seen(made, monkeypatch):
    name = "[/x] [link=http://a]b[/link] :smile: \x1b[31mred\x1b]0;title\x07 \u202egnp"
    table = Table("name", "number")
    table.add_row(made(name), "1")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    terminal.show(table)
    row = next(line for line in out.getvalue().splitlines() if "[/x]" in line)
    assert "[link=http://a]b[/link] :smile: ␛[31mred␛]0;title" in row
    assert not set(out.getvalue()) & {"\x1b", "\x07", "\u202e"}


def test_a_refusal_is_one_visible_line(capsys):
    with pytest.raises(SystemExit) as ended:
        terminal.refuse("a\nb\x1b[2J")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "ablation-bench: a b␛[2J\n"
