"""Reads the migrations and the named statements that lie beside it."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_0-9]+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_(pre|post)_([a-z_0-9]+)\.sql$")


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `text` may hold `{relation}`: use `on` then."""

    name: str
    text: str

    def on(self, relation: str) -> str:
        """The statement for one table; `relation` is a value of `_crossfade.collection.relation`."""
        return self.text.replace("{relation}", relation)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered migration; phase is `pre` or `post`; checksum is sha256 of its text, in hex."""

    number: int
    phase: str
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@functools.cache
def queries(topic: str) -> dict[str, Query]:
    """All statements of `queries/{topic}.sql`, by name. Raises FileNotFoundError, or ValueError for a double name."""
    text = resources.files(__package__).joinpath("queries", f"{topic}.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    found: dict[str, Query] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ValueError(f"queries/{topic}.sql names {name} twice")
        found[name] = Query(name, body.strip().rstrip(";"))
    return found


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in order. Raises ValueError where numbers are not 1, 2, 3, …"""
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
