"""Random AQL queries that are one statement, nearly all of them, over `c` (documents) and `e` (edges); documents."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from tests.property.modification_texts import Query

KEYS: Final = ("a", "b", "k:d", "7", "12", "x.y", "q_rev", "group")
_NAMES: Final = ("n", "s", "o", "l", "group", "_own", "ü", "a-b")
_VALUES: Final[tuple[Any, ...]] = (
    *(0, 1, 2, -3, 1.5, -0.25, 1e8, 100000000, 12345678.5, 1e-7, 0.1, 1e300, 9007199254740993, 123456.7890123),
    *(None, True, False, "", "s", "t", "ü€", 'q"uo\\te', "\n", "\x1f", "\x00", "\ufdd0", '"n":1', "_rev"),
    *([], [1, None], [{"n": 1, "group": 2}], {}, {"x": 1}, {"x": None, "y": {"z": 2}}, {"n": 1, "_rev": "r", "s": "s"}),
    {"y": {"z": None}, "x": [2]},
)
_LITERALS: Final = (
    "1",
    "2.0",
    "-1",
    "'s'",
    "null",
    "true",
    "[1, null]",
    "{x: 1}",
    "{x: null, y: {z: 3}}",
    "{}",
    "''",
    "[]",
)


def documents(rng: random.Random, *, edge: bool) -> list[dict[str, Any]]:
    """Return some documents."""
    return [
        {"_key": key}
        | ({"_from": "c/a", "_to": rng.choice(("c/b", "c/x"))} if edge else {})
        | {name: rng.choice(_VALUES) for name in rng.sample(_NAMES, rng.randrange(len(_NAMES)))}
        for key in rng.sample(KEYS, rng.randrange(3, len(KEYS)))
    ]


class Maker:
    """Makes queries. keys: of documents that exist."""

    def __init__(self, rng: random.Random, keys: Sequence[str]) -> None:
        self._rng = rng
        self._keys = keys or KEYS
        self._binds: dict[str, Any] = {}

    def query(self) -> Query:
        """Return a query."""
        rng, self._binds = self._rng, {}
        self._collection = rng.choice(("c", "c", "c", "e"))
        if rng.random() < 0.3:
            text = " ".join(self._given().split())
            return Query(text, {name: value for name, value in self._binds.items() if f"@{name}" in text})
        rows, target = self._rows()
        change = self._modification(target)
        after = self._after("OLD" if change.startswith("REMOVE") else rng.choice(("OLD", "NEW", "NEW")))
        text = f"{rows} {change} {self._options()} {after}"
        return Query(" ".join(text.split()), {name: value for name, value in self._binds.items() if f"@{name}" in text})

    def _bind(self, value: Any) -> str:
        name = f"p{len(self._binds)}"
        self._binds[name] = value
        return f"@{name}"

    def _given(self) -> str:
        """Return INSERT or UPSERT of documents that bind variables and literals give."""
        rng, name = self._rng, self._collection
        given = [self._document() for _ in range(rng.randrange(5))]
        rows, document = rng.choice(((f"FOR d IN {self._bind(given)}", "d"), ("", self._bind(self._document()))))
        many, row = rows != "", document
        if many and rng.random() < 0.3:
            rows += rng.choice((" LET v = d.n", " FILTER d._key != 'a'", " SORT d._key DESC LIMIT 3", " LET v = [d]"))
        if rng.random() < 0.3:
            document = rng.choice(
                (
                    f"{{_key: {row}._key, n: {row}.s || 1, _from: 'c/a', _to: 'c/b'}}",
                    f"MERGE({row}, {{s: 's'}})",
                    f"UNSET({row}, 'n')",
                    f"{{_key: {row}._key, o: {{x: {row}.n, y: {{z: [{row}.s]}}}}, _from: 'c/a', _to: 'c/b'}}",
                )
            )
        options = self._options() if rng.random() < 0.5 else ""
        kept = ("d", "v") if " LET v" in rows else ("d",)
        variables = ", ".join(f"a{place}: {one}" for place, one in enumerate(kept)) if many else "a: 1"
        if rng.random() < 0.5:
            mode = rng.choice(("ignore", "update", "replace", "conflict"))
            options = rng.choice(
                (options, f"OPTIONS {{overwriteMode: '{mode}', keepNull: {rng.choice(('true', 'false'))}}}")
            )
            after = rng.choice(
                ("", "RETURN NEW", "RETURN NEW.n", "RETURN [OLD, NEW]", f"RETURN {{{variables}, k: NEW._key}}")
            )
            return f"{rows} INSERT {document} INTO {name} {options} {after}"
        searches = [
            f"{{_key: {row}._key}}",
            f"{{_key: {row}._key}}",
            f"{{n: {row}.n}}",
            f"{{s: {row}.s, group: 1}}",
            f"{{o: {{x: {row}.n}}, s: {row}.s}}",
            f"{{group: null, n: {row}.n}}",
        ]
        if name == "e":
            searches += ["{_from: 'c/a', _to: 'c/b'}", f"{{_from: {row}._from, n: {row}.n}}"]
        change = rng.choice(
            (
                row, document, f"{{n: OLD.n, m: {row}.n}}", "{m: (OLD.m || 0) + 1}", "{}", "OLD", f"MERGE(OLD, {row})",
                f"MERGE_RECURSIVE(OLD, {row})", f"{{o: {row}.o, l: [OLD.o, {row}]}}", f"{{n: OLD.n + {row}.n}}",
            )
        )  # fmt: skip
        kind = rng.choice(("UPDATE", "UPDATE", "UPDATE", "REPLACE"))
        after = rng.choice(
            ("", "RETURN NEW", "RETURN OLD", "RETURN {o: OLD, n: NEW.n}", f"RETURN {{{variables}, new: OLD == null}}",
             "LET t = IS_NULL(OLD) ? 'i' : 'u' RETURN {t, k: NEW._key}", "FILTER OLD != null RETURN OLD.n",
             f"FILTER {row if many else 'NEW'}.n > 0 RETURN NEW.n")
        )  # fmt: skip
        return f"{rows} UPSERT {rng.choice(searches)} INSERT {document} {kind} {change} IN {name} {options} {after}"

    def _document(self) -> dict[str, Any]:
        """Return a document to insert: its key is perhaps one that exists, or not allowed. A key that each store makes
        would give the rows of later queries another order.
        """
        rng = self._rng
        key = {"_key": rng.choice(("", 1, "a b")) if rng.random() < 0.05 else rng.choice(KEYS)}
        ends = {"_from": "c/a", "_to": "c/b"} if self._collection == "e" and rng.random() < 0.95 else {}
        names = rng.sample(("n", "s", "o", "group"), rng.randrange(4))
        return key | ends | {name: rng.choice(_VALUES[:20]) for name in names}

    def _rows(self) -> tuple[str, str]:
        """Return the statements that choose rows, and an expression that names the target."""
        rng, name = self._rng, self._collection
        roll = rng.random()
        if roll < 0.1:
            key = self._bind(rng.choice(self._keys if rng.random() < 0.8 else KEYS))
            return f"LET d = DOCUMENT({name}, {key})", rng.choice(("d", key, f"{{_key: {key}}}"))
        if roll < 0.2:
            keys = self._bind([rng.choice(self._keys) for _ in range(rng.randrange(1, 4))])
            return f"FOR k IN {keys} FOR d IN {name} FILTER d._key == k", "d"
        parts = [f"FOR d IN {name}"]
        if rng.random() < 0.6:
            parts.append(f"FILTER {self._condition()}")
        if rng.random() < 0.2:
            parts.append(f"LET v = {self._value('d', 2)}")
        if rng.random() < 0.4:
            parts.append(f"SORT d.{rng.choice(('n', 's', '_key'))} {rng.choice(('', 'DESC'))}")
        if rng.random() < 0.3:
            parts.append(f"LIMIT {rng.randrange(4)}")
        return " ".join(parts), rng.choice(("d", "d", "d._key", "{_key: d._key}"))

    def _condition(self) -> str:
        rng = self._rng
        return rng.choice(
            (
                "d.n >= 1", "d.n == 1", "d.s == 's'", "d.o.x == 1", "d.group != null", "LENGTH(d.l) > 0",
                f"d._key IN {self._bind(list(rng.sample(KEYS, 3)))}", f"d.n == {self._bind(rng.choice(_VALUES))}",
                f"d._id == {self._bind('c/' + rng.choice(KEYS))}",
                "LENGTH(FOR x IN e FILTER x._from == d._id RETURN 1) == 0",
            )
        )  # fmt: skip

    def _modification(self, target: str) -> str:
        rng, name = self._rng, self._collection
        roll = rng.random()
        if roll < 0.15:
            return f"REMOVE {target} IN {name}"
        kind = "REPLACE" if roll < 0.35 and name != "e" else "UPDATE"
        if rng.random() < 0.15:
            value = {one: rng.choice(_VALUES) for one in rng.sample(_NAMES, rng.randrange(1, 4))}
            return f"{kind} {target} WITH {self._bind(value)} IN {name}"
        return f"{kind} {target} WITH {self._object('d', 2)} IN {name}"

    def _object(self, row: str, depth: int) -> str:
        rng = self._rng
        names = rng.sample(_NAMES, rng.randrange(1, 4))
        values = {name: self._revisions(row) if name == "_own" else self._value(row, depth) for name in names}
        return "{" + ", ".join(f"`{name}`: {value}" for name, value in values.items()) + "}"

    def _revisions(self, row: str) -> str:
        """Return a value with revisions. No query compares such values: each store has its own revisions, of which the
        texts are in another order.
        """
        return self._rng.choice((f"{row}._rev", row, f"[{row}._rev, {row}.n]", f"{{`{row}`: {row}, n: 1}}", "null"))

    def _value(self, row: str, depth: int) -> str:
        rng = self._rng
        attribute = f"{row}.{rng.choice(('n', 's', 'o', 'l', 'group', 'o.x', 'o.y', '_key'))}"
        roll = rng.random()
        if roll < 0.25 or depth == 0:
            return attribute if rng.random() < 0.5 else rng.choice(_LITERALS)
        if roll < 0.35:
            return self._bind(rng.choice(_VALUES))
        inner = self._value(row, depth - 1)
        return rng.choice(
            (
                f"{attribute} {rng.choice(('+', '-', '*'))} {rng.choice(('1', '0.1', '3', self._bind(2), '1e7'))}",
                f"{attribute} / 3", f"({attribute} || 0) + 1", f"CONCAT({attribute}, '-x')", f"UPPER({row}.s)",
                f"({self._condition_of(row)} ? {inner} : {attribute})", f"({attribute} || {inner})",
                f"({attribute} && {inner})", f"NOT_NULL({attribute}, {inner})", self._object(row, depth - 1),
                f"[{inner}, {attribute}]", f"LENGTH({row}.l)", f"{row}.n == 1", "DATE_NOW() > 0", f"{attribute} % 3",
                f"LENGTH(FOR x IN e FILTER x.n == {row}.n RETURN 1)", f"FLOOR({attribute})",
            )
        )  # fmt: skip

    def _condition_of(self, row: str) -> str:
        return self._rng.choice((f"{row}.n > 1", f"{row}.s == 's'", f"{row}.o", f"!{row}.l"))

    def _options(self) -> str:
        rng = self._rng
        if rng.random() < 0.6:
            return ""
        given = (("keepNull", "false"), ("mergeObjects", "false"), ("ignoreErrors", "true"), ("exclusive", "true"))
        return (
            "OPTIONS {" + ", ".join(f"{name}: {value}" for name, value in rng.sample(given, rng.randrange(1, 3))) + "}"
        )

    def _after(self, version: str) -> str:
        return self._rng.choice(
            (
                "", "", f"RETURN {version}", f"RETURN {version}._key", f"RETURN {{o: {version}, k: d._key}}",
                f"RETURN KEEP({version}, 'n', 's')",
                f"FILTER {version}.n > 0 RETURN {version}.n",
                f"COLLECT n = {version}.s WITH COUNT INTO m RETURN {{n, m}}",
                f"LET a = {version}.n SORT a LIMIT 2 RETURN a", f"RETURN DISTINCT {version}.s",
            )
        )  # fmt: skip
