"""What clients wrote cannot control an operator's terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxy.base.errors import PreconditionFailed
from proxy.cli.control_characters import PrintableOnly, printable
from proxy.cli.runtime import console, fail, note

HOSTILE = "FOR d IN c FILTER d.`\x1b[31mA\x1b]0;owned\x07\x9b2J\x7f\r` == 1"


def _table() -> Table:
    table = Table("shape")
    table.add_row(escape(HOSTILE))
    return table


@pytest.mark.parametrize("shown", [lambda: escape(HOSTILE), _table], ids=["line", "table"])
def test_a_terminal_gets_colours_of_ours_and_no_control_character_of_a_value(shown: Callable[[], object]) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, color_system="standard", width=200)
    terminal.push_render_hook(PrintableOnly())
    terminal.print("[red]ours[/red]")
    terminal.print(shown())
    text = file.getvalue()
    assert "\x1b[31mours" in text
    for sequence in ("\x1b[31mA", "\x1b]0;", "\x07", "\x9b", "\x7f", "\r"):
        assert sequence not in text
    assert "owned" in text


def test_every_way_of_printing_replaces_them(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(escape(HOSTILE))
    note(HOSTILE)
    with pytest.raises(typer.Exit):
        raise fail(PreconditionFailed(HOSTILE))
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert "owned" in text
        assert [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)] == []


def test_text_of_any_script_stays() -> None:
    assert printable("é ü 漢字 😀\tx\n") == "é ü 漢字 😀\tx\n"
