"""Help: every command is under a panel, has an example, and reads well on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

import proxy.cli
from proxy.cli import registration
from proxy.cli.registration import bundled, prose

WIDTH = 80


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command and group by the words that call it."""
    app, _ = proxy.cli.build()

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield words, command
        for name, one in getattr(command, "commands", {}).items():
            yield from below(f"{words} {name}", one)

    for name, one in typer.main.get_group(app).commands.items():
        yield from below(name, one)


COMMANDS = dict(commands())


def test_every_command_is_under_a_panel() -> None:
    top = {words for words in COMMANDS if " " not in words}
    assert top == {name for names in registration.PANELS.values() for name in names}
    app, _ = proxy.cli.build()
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(WIDTH)}).output
    assert all(f"─ {panel} ─" in shown for panel in registration.PANELS)
    places = [shown.index(f"│ {name} ") for names in registration.PANELS.values() for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize("words", COMMANDS)
def test_help_has_an_example_and_no_broken_sentence(words: str) -> None:
    """Paragraphs are one line, which a terminal wraps; examples are lines that fit."""
    text = COMMANDS[words].help
    assert text
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        assert all(line.startswith("  ") for line in lines[1:]), paragraph
        assert all(len(line) <= WIDTH - 2 for line in lines if line.startswith("  ")), paragraph
    if not words.endswith(" start"):  # hidden behind its group, which has the examples
        assert "\n  " in text, "an example"


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_nothing_is_cut_off(words: str) -> None:
    """The layout cuts off what does not fit with an ellipsis; no text of ours has one."""
    app, _ = proxy.cli.build()
    shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": str(WIDTH)})
    assert shown.exit_code == 0
    assert "…" not in shown.output


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_is_shown_in_full_with_its_meaning(words: str) -> None:
    app, _ = proxy.cli.build()
    shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": str(WIDTH)}).output
    for option in COMMANDS[words].params:
        if option.param_type_name == "option" and not getattr(option, "hidden", False):
            assert option.help, option.opts
            assert all(f"{name} " in shown for name in (*option.opts, *option.secondary_opts)), option.opts


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_examples_are_indented(words: str) -> None:
    app, _ = proxy.cli.build()
    shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": str(WIDTH)}).output
    text = COMMANDS[words].help if words else proxy.cli.HELP
    for line in text.splitlines():
        if line.startswith("  "):
            assert f"\n {line} " in shown, line


def test_prose_joins_lines_but_those_that_are_indented() -> None:
    assert prose("One\ntwo.\n\nThree\nfour:\n  a\n  b") == "One two.\n\nThree four:\n  a\n  b"


def test_a_bundle_is_given_as_its_options() -> None:
    @dataclass(frozen=True)
    class Size:
        """Two options."""

        width: Annotated[int, typer.Option("--width")] = 1
        height: Annotated[int, typer.Option("--height")] = 2

    def area(size: Size, name: Annotated[str, typer.Argument()]) -> None:
        typer.echo(f"{name} {size.width * size.height}")

    area.__annotations__ = {"size": Size, "name": Annotated[str, typer.Argument()], "return": None}
    app = typer.Typer()
    app.command()(bundled(area))
    assert CliRunner().invoke(app, ["door", "--height", "5"]).output == "door 5\n"
    assert "--width" in CliRunner().invoke(app, ["--help"]).output
