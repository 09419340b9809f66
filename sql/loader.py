"""Read the migrations and the text of the named statements."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

_PART: Final = re.compile(r"^-- (name|fragment): ([a-z_0-9]+)(?:\(([a-z_]*)\))?\n", re.MULTILINE)
_USE: Final = re.compile(r"\{([a-z_]+)\(([^)]*)\)\}")  # {fragment(argument)}
_DESCRIPTION: Final = re.compile(r"\A(?:--[^\n]*\n)+")
_MIGRATION: Final = re.compile(r"^(\d{4})_(pre|post)_([a-z_0-9]+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered migration. phase: `pre` or `post`; checksum: sha256 of its text, in hex."""

    number: int
    phase: str
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@functools.cache
def queries(topic: str) -> dict[str, str]:
    """Return the text of all statements of `queries/{topic}.sql`, by name.

    `-- fragment: x(blank)` begins a part that several statements of the file have in common: `{x(argument)}` stands for
    it, with the argument for `{blank}`. Raise FileNotFoundError if there is no such topic, ValueError if a name occurs
    twice, KeyError if there is no such fragment above its use.
    """
    text = resources.files(__package__).joinpath("queries", f"{topic}.sql").read_text("utf-8")
    parts = _PART.split(text)[1:]
    fragments: dict[str, tuple[str, str]] = {}
    found: dict[str, str] = {}
    for kind, name, blank, body in zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True):
        if name in found or name in fragments:
            raise ValueError(f"queries/{topic}.sql names {name} twice")
        if kind == "fragment":
            fragments[name] = blank, _DESCRIPTION.sub("", body).strip()
        else:
            found[name] = _USE.sub(lambda use: _expanded(fragments, *use.groups()), body.strip().rstrip(";"))
    return found


def _expanded(fragments: Mapping[str, tuple[str, str]], name: str, argument: str) -> str:
    blank, text = fragments[name]
    return text.replace(f"{{{blank}}}", argument) if blank else text


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations in order. Raise ValueError unless they are numbered 1, 2, 3, …"""
    found = []
    for entry in resources.files(__package__).joinpath("migrations").iterdir():
        matched = _MIGRATION.match(entry.name)
        if matched:
            number, phase, name = matched.groups()
            found.append(Migration(int(number), phase, name, entry.read_text("utf-8")))
    found.sort(key=lambda m: m.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are not numbered 1, 2, 3, …")
    return tuple(found)
