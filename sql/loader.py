"""Read the migrations and the text of the named statements."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_0-9]+)\n", re.MULTILINE)
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

    Raise FileNotFoundError if there is no such topic, ValueError if a name occurs twice.
    """
    text = resources.files(__package__).joinpath("queries", f"{topic}.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ValueError(f"queries/{topic}.sql names {name} twice")
        found[name] = body.strip().rstrip(";")
    return found


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
