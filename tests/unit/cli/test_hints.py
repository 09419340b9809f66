"""Every `crossfade …` that docs, help texts, messages or deploy files name is a command with those options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import proxy.cli

ROOT = Path(__file__).parents[3]
TEXTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(path for path in (ROOT / "deploy").rglob("*") if path.suffix in {".md", ".yml", ".yaml", ".json"}),
    ROOT / "docker-compose.yml",
    ROOT / "proxy/admin.html",
]
MODULES = [path for room in ("proxy", "backfill", "sql", "deploy") for path in (ROOT / room).rglob("*.py")]
QUOTED = re.compile(r"`(?:\.venv/bin/)?crossfade\s+([a-z-][^`]*)`")
# a line of its own, or after a prompt or an assignment
TYPED = re.compile(r"^\s*(?:\d?\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?crossfade ([a-z-].*)$", re.MULTILINE)


def named_in(text: str) -> Iterator[str]:
    """Yield what follows `crossfade` in each command that a text names."""
    for found in QUOTED.finditer(text):
        yield " ".join(found[1].split())
    if "\n" in text:
        for found in TYPED.finditer(QUOTED.sub("", text)):
            yield found[1].split("   ")[0]


def strings_of(path: Path) -> Iterator[str]:
    """Yield the strings of a module, with X for each value of a formatted string."""
    tree = ast.parse(path.read_text("utf-8"))
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def commands() -> list[tuple[str, str]]:
    """Return (file, command) of everything that is named, each once."""
    found: dict[tuple[str, str], None] = {}
    for path in TEXTS:
        found |= {(str(path.relative_to(ROOT)), one): None for one in named_in(path.read_text("utf-8"))}
    for path in MODULES:
        for text in strings_of(path):
            found |= {(str(path.relative_to(ROOT)), one): None for one in named_in(text)}
    return list(found)


@pytest.fixture(scope="module")
def root() -> Any:
    app, broken = proxy.cli.build()
    assert not broken
    return typer.main.get_group(app)


def words_of(text: str) -> list[str]:
    """Return the words of a command line up to `;`, `|`, `&`, `>` or a comment."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=";|&<>")
    words: list[str] = []
    for word in reader:
        if set(word) <= set(";|&<>"):
            break
        words.append(word)
    return [word for word in words if word not in {"…", "..."}]


def trouble(root: Any, text: str) -> str:
    """Return why the command line is not one of `crossfade`; empty if it is."""
    words = words_of(text)
    command, takes_value = root, False
    for position, word in enumerate(words):
        before = f"crossfade {' '.join(words[:position])}".strip()
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
            continue
        if getattr(command, "commands", {}) and word not in ("--help", "--version"):
            if not getattr(command, "default_command", ""):
                return f"{word!r} is not a command of `{before}`"
            command = command.commands[command.default_command]
        options = {name: one for one in command.params for name in (*one.opts, *one.secondary_opts)}
        if word.startswith("-") and not takes_value:
            if word not in options and word != "--help":
                return f"{word!r} is not an option of `{before}`"
            takes_value = word != "--help" and not getattr(options[word], "is_flag", False)
        elif takes_value:
            takes_value = False
        elif not any(one.param_type_name == "argument" for one in command.params):
            return f"{word!r} is an argument, and `{before}` takes none"
    return ""


def test_every_command_that_is_named_exists(root: Any) -> None:
    found = commands()
    assert len(found) > 150
    wrong = [f"{path}: `crossfade {text}`: {why}" for path, text in found if (why := trouble(root, text))]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["noise list", "flip shop/orders --wait", "gates limits sett", "backfill throttle --max-rates 5"]
)
def test_a_command_that_does_not_exist_is_found(root: Any, text: str) -> None:
    assert trouble(root, text)


@pytest.mark.parametrize(
    "text", ["flip shop/orders --percent 10", "gates", "gates shop/orders --json", "gates limits set X 1", "--version"]
)
def test_a_command_that_exists_is_not(root: Any, text: str) -> None:
    assert trouble(root, text) == ""
