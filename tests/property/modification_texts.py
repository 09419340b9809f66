"""Random AQL queries that write, over the collections `c`, `d` (documents) and `e` (edges), with many mistakes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

KEYS: Final = ("a", "b", "c:d", "7", "12", "100", "x.y")
COLLECTIONS: Final = ("c", "d", "e")
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "ignoreErrors": ("true", "true", "false"),
    "keepNull": ("false",),
    "mergeObjects": ("false",),
    "ignoreRevs": ("false", "true"),
    "overwriteMode": ("'ignore'", "'replace'", "'update'", "'conflict'", "'none'"),
    "overwrite": ("true",),
    "versionAttribute": ("'n'",),
    "exclusive": ("true",),
}
_VALUES: Final = ("1", "2", "1.0", "'s'", "null", "true", "[1, null]", "{x: 1}", "{x: null, y: 2}", "1/0", "''")


@dataclass
class Query:
    """The body of a request for a cursor."""

    text: str
    binds: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {"query": self.text, "bindVars": self.binds, "options": self.options, "batchSize": 10_000}


class Maker:
    """Makes queries. keys: those of the documents in the development server."""

    def __init__(self, rng: random.Random, keys: Sequence[str]) -> None:
        self._rng = rng
        self._keys = keys
        self._binds: dict[str, Any] = {}

    def query(self) -> Query:
        rng, self._binds = self._rng, {}
        parts: list[str] = []
        row = self._rows(parts)
        targets = rng.sample(COLLECTIONS, rng.choice((1, 1, 1, 2, 3)))
        for number, name in enumerate(targets):
            parts.append(self._modification(name, row if not number else "NEW"))
            if rng.random() < 0.15:
                parts.append(f"LET v{number} = [OLD, NEW]")
        if rng.random() < 0.2 and row is not None:
            other = rng.choice(COLLECTIONS)
            parts.insert(1, f"LET made = ({self._modification(other, row)} RETURN NEW ? NEW.n : OLD.n)")
        parts.append(
            rng.choice(("", "RETURN NEW", "RETURN OLD", "RETURN [OLD, NEW]", "RETURN {_key: NEW._key, _rev: OLD._rev}"))
        )
        options: dict[str, Any] = {}
        if rng.random() < 0.15:
            options["intermediateCommitCount"] = rng.choice((1, 2, 3))
        if rng.random() < 0.05:
            options["failOnWarning"] = True
        text = " ".join(parts)
        return Query(text, {name: value for name, value in self._binds.items() if f"@{name}" in text}, options)

    def _bind(self, value: Any) -> str:
        name = f"p{len(self._binds)}"
        self._binds[name] = value
        return f"@{name}"

    def _key(self) -> str:
        return self._rng.choice(self._keys if self._keys and self._rng.random() < 0.6 else KEYS)

    def _rows(self, parts: list[str]) -> str | None:
        """Add what makes the rows; return the variable of a row."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.2:
            return None
        if roll < 0.45:
            keys = [self._key() for _ in range(rng.randrange(5))]
            parts.append(f"FOR x IN {self._bind([{'_key': key, 'n': rng.randrange(4)} for key in keys])}")
        elif roll < 0.55:
            parts.append(f"FOR i IN 1..{rng.randrange(1, 5)} LET x = {{_key: CONCAT('n', i % 3), n: i}}")
        else:
            parts.append(f"FOR x IN {rng.choice(COLLECTIONS)}")
            conditions = ("x.n >= 1", "x.n == 1", f"x._key IN {self._bind([self._key(), self._key()])}", "x.s == 's'")
            if rng.random() < 0.7:
                parts.append(f"FILTER {rng.choice(conditions)}")
            if rng.random() < 0.6:
                parts.append("SORT x._key" + (f" LIMIT {rng.randrange(4)}" if rng.random() < 0.4 else ""))
        return "x"

    def _document(self, row: str | None, *, key: float) -> str:
        rng = self._rng
        if rng.random() < 0.03:
            return rng.choice(("1", "null", "'a'", "[]"))
        if row is not None and rng.random() < 0.15:
            return row
        named = [f"{name}: {self._value(row)}" for name in rng.sample(("n", "s", "o", "v"), rng.randrange(1, 4))]
        if rng.random() < key:
            wrong = rng.random() < 0.04
            named.append(f"_key: {'7' if wrong else self._key_value(row)}")
        if rng.random() < 0.7:
            named.append("_from: 'c/a', _to: 'd/b'")
        return "{" + ", ".join(named) + "}"

    def _key_value(self, row: str | None) -> str:
        if row is not None and self._rng.random() < 0.5:
            return f"{row}._key"
        return self._bind(self._key())

    def _value(self, row: str | None) -> str:
        if row is not None and self._rng.random() < 0.4:
            return self._rng.choice((f"{row}.n + 1", f"{row}.n", f"{row}._key", f"{row}.o"))
        return self._rng.choice(_VALUES)

    def _modification(self, name: str, row: str | None) -> str:
        rng = self._rng
        kind = rng.choice(("INSERT", "INSERT", "UPDATE", "UPDATE", "REPLACE", "REMOVE", "UPSERT", "UPSERT"))
        options = self._options()
        if kind == "INSERT":
            return f"INSERT {self._document(row, key=0.6)} INTO {name}{options}"
        if kind == "REMOVE":
            return f"REMOVE {self._target(row)} IN {name}{options}"
        if kind != "UPSERT":
            if row is not None and rng.random() < 0.2:
                return f"{kind} {row} IN {name}{options}"
            return f"{kind} {self._target(row)} WITH {self._document(row, key=0.1)} IN {name}{options}"
        searches = (
            f"{{_key: {self._key_value(row)}}}",
            f"{{n: {self._value(row)}}}",
            f"{{n: {self._value(row)}, s: 's'}}",
            "{o: {x: 1}}",
            "FILTER CURRENT.n > 1",
        )
        change = rng.choice((self._document(row, key=0.1), "{n: OLD.n + 1}"))
        return (
            f"UPSERT {rng.choice(searches)} INSERT {self._document(row, key=0.4)} "
            f"{rng.choice(('UPDATE', 'UPDATE', 'REPLACE'))} {change} IN {name}{options}"
        )

    def _target(self, row: str | None) -> str:
        rng = self._rng
        if row is not None and rng.random() < 0.7:
            return rng.choice((row, f"{row}._key", f"{{_key: {row}._key}}"))
        if rng.random() < 0.05:
            return rng.choice(("1", "{}", "'no/key'", "''"))
        key = self._bind(self._key())
        return rng.choice((key, f"{{_key: {key}}}", f"{{_key: {key}, _rev: 'old'}}"))

    def _options(self) -> str:
        rng = self._rng
        if rng.random() < 0.5:
            return ""
        chosen = rng.sample(list(_OPTIONS), rng.randrange(1, 3))
        return " OPTIONS {" + ", ".join(f"{name}: {rng.choice(_OPTIONS[name])}" for name in chosen) + "}"
