"""Random requests that write documents, with all their parameters and many mistakes; and reads between them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from proxy.model.revision import encode_rev

KEYS: Final = ("a", "b", "c:d", "7", "12", "0000000000000010", "x.y")
_WRONG_KEYS: Final = (7, None, "", "no/slash", "b a d", {"k": 1}, "ä")
_TRUTH: Final = ("true", "true", "1", "yes", "false", "0", "")
_RESTORED: Final = [encode_rev((1 << 59) + number) for number in range(5)]
_WORDS: Final = ("", "text", "ü", "\u0000", "\ufdd0", '"', "_rev", "a/b")
# (parameters that any request for documents may have, and those of one kind)
_COMMON: Final = ("waitForSync", "returnNew", "returnOld", "silent")
_INSERT: Final = ("overwrite", "keepNull", "mergeObjects", "isRestore", "skipDocumentValidation")
_CHANGE: Final = ("keepNull", "mergeObjects", "ignoreRevs", "isRestore", "skipDocumentValidation")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as text, in which revisions and generated keys are those of the development server."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


def properties(rng: random.Random, name: str) -> dict[str, Any]:
    """Return the definition of a collection."""
    kind = rng.choice(("traditional", "traditional", "autoincrement", "padded", "uuid"))
    options: dict[str, Any] = {"type": kind, "allowUserKeys": rng.random() < 0.85}
    if kind == "autoincrement" and rng.random() < 0.5:
        options |= {"offset": rng.randrange(20), "increment": rng.randrange(1, 5)}
    made: dict[str, Any] = {"name": name, "type": rng.choice((2, 2, 3)), "keyOptions": options}
    if rng.random() < 0.3:
        made["waitForSync"] = True
    if rng.random() < 0.4:
        rule = {"properties": {"n": {"type": "number"}}, "additionalProperties": True}
        level = rng.choice(("none", "new", "moderate", "strict"))
        made["schema"] = {"rule": rule, "level": level, "message": "n is a number"}
    if rng.random() < 0.3:
        made["computedValues"] = _computed_values(rng)
    return made


def _computed_values(rng: random.Random) -> list[dict[str, Any]]:
    """Return definitions of computed values, some of which warn or fail."""
    expressions = (
        "RETURN @doc.n + 1",
        "RETURN 1 / @doc.n",
        "RETURN LENGTH(@doc.s)",
        "RETURN CONCAT(@doc._key, ':', @doc.v)",
        "RETURN null",
        "RETURN @doc.o.x ?: 'none'",
        "RETURN NOOPT(FAIL('no'))",
        "RETURN @doc",
    )
    weights = (4, 2, 2, 3, 2, 3, 0.2, 0.5)
    made = []
    for name in rng.sample(("n", "c", "s", "d"), rng.randrange(1, 3)):
        (expression,) = rng.choices(expressions, weights)
        value: dict[str, Any] = {"name": name, "expression": expression, "overwrite": rng.random() < 0.5}
        if rng.random() < 0.5:
            value["computeOn"] = rng.sample(("insert", "update", "replace"), rng.randrange(1, 4))
        for flag in ("keepNull", "failOnWarning"):
            if rng.random() < 0.3:
                value[flag] = rng.random() < 0.5
        made.append(value)
    return made


def unique_indexes(rng: random.Random) -> list[dict[str, Any]]:
    """Return definitions of unique indexes of all kinds, of which most collections have none."""
    if rng.random() < 0.5:
        return []
    made = []
    for number in range(rng.randrange(1, 3)):
        fields = rng.choice(
            (["n"], ["v"], ["s"], ["o.x"], ["n", "v"], ["s[*]"], ["o.x[*]"], ["v", "s[*]"], ["_to", "n"])
        )
        index: dict[str, Any] = {"type": "persistent", "unique": True, "fields": fields, "name": f"unique{number}"}
        index["sparse"] = rng.random() < 0.7
        if rng.random() < 0.3:
            index["deduplicate"] = False
        made.append(index)
    return made


class Maker:
    """Makes requests for one collection. stored: its documents in the development server, by key."""

    def __init__(self, rng: random.Random, name: str, stored: Mapping[str, bytes]) -> None:
        self._rng = rng
        self._name = name
        self._stored = stored
        self._seen: list[str] = []

    def request(self) -> Request:
        """Return the next request."""
        self._seen += [orjson.loads(raw)["_rev"] for raw in self._stored.values() if self._rng.random() < 0.2]
        makers = {
            self._insert: 30,
            self._insert_many: 12,
            self._change: 25,
            self._change_many: 15,
            self._remove: 12,
            self._remove_many: 8,
            self._import: 20,
            self._read: 8,
            self._read_many: 3,
            self._mistake: 6,
        }
        (make,) = self._rng.choices(list(makers), list(makers.values()))
        return make()

    # ---- parts

    def _key(self) -> str:
        known = list(self._stored)
        return self._rng.choice(known) if known and self._rng.random() < 0.5 else self._rng.choice(KEYS)

    def _rev(self, key: str | None = None, *, valid: bool = False) -> str:
        raw = self._stored.get(key or "")
        if raw is not None and self._rng.random() < 0.6:
            return str(orjson.loads(raw)["_rev"])
        wrong = [] if valid else ["no revision", ""]
        return self._rng.choice([*self._seen[-5:], *_RESTORED, *wrong])

    def _value(self, depth: int = 0) -> Any:
        roll = self._rng.randrange(11 if depth < 3 else 8)
        if roll < 3:
            return self._rng.choice((0, 1, -1, 1.5, 1.0, 1e300, 2**63, 10**19))
        if roll < 5:
            return self._rng.choice(_WORDS)
        if roll < 8:
            return self._rng.choice((None, None, True, False))
        if roll == 8:
            return [self._value(depth + 1) for _ in range(self._rng.randrange(3))]
        return {name: self._value(depth + 1) for name in self._rng.sample(("x", "y", "_key", "_x"), 2)}

    def _document(self, *, key: float, rev: float = 0.15, restore: bool = False) -> Any:
        """Return a document, or something else. restore: PostgreSQL refuses a `_rev` to restore that is not one."""
        rng = self._rng
        if rng.random() < 0.04:
            return rng.choice((1, "a", None, [], "c/a"))
        made: dict[str, Any] = {}
        if rng.random() < key:
            made["_key"] = rng.choice(_WRONG_KEYS) if rng.random() < 0.06 else self._key()
        if rng.random() < rev:
            made["_rev"] = self._rev(str(made.get("_key")), valid=restore)
        for name in rng.sample(("n", "n", "v", "o", "s", "ü"), rng.randrange(5)):
            made[name] = self._value()
        if rng.random() < 0.8:
            made |= {"_from": rng.choice(("c/a", "v/1", "bad" if rng.random() < 0.2 else "v/2")), "_to": "v/9"}
        if rng.random() < 0.1:
            made["_id"] = "x/y"
        return made

    def _documents(self, *, key: float, restore: bool = False) -> list[Any]:
        return [self._document(key=key, restore=restore) for _ in range(self._rng.randrange(6))]

    def _params(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self._rng.choice(_TRUTH) for name in names if self._rng.random() < 0.25}

    def _versioned(self, params: dict[str, str]) -> dict[str, str]:
        if self._rng.random() < 0.15:
            params["versionAttribute"] = self._rng.choice(("v", "n", ""))
        return params

    def _target(self, key: str | None, params: Mapping[str, str], name: str | None = None) -> str:
        path = f"/_api/document/{quote(name or self._name)}" + ("" if key is None else f"/{quote(key, safe='')}")
        return path + ("?" + urlencode(params) if params else "")

    def _match(self, key: str, header: str = "if-match") -> tuple[tuple[str, str], ...]:
        if self._rng.random() > 0.3:
            return ()
        rev = self._rev(key)
        return ((header, self._rng.choice((f'"{rev}"', rev, "*", f'W/"{rev}"'))),)

    # ---- requests

    def _insert(self) -> Request:
        target = self._insert_target()
        return Request("POST", target, body=_text(self._document(key=0.7, restore=_restores(target))))

    def _insert_many(self) -> Request:
        target = self._insert_target()
        return Request("POST", target, body=_text(self._documents(key=0.7, restore=_restores(target))))

    def _insert_target(self) -> str:
        params = self._versioned(self._params((*_COMMON, *_INSERT)))
        if self._rng.random() < 0.5:
            params["overwriteMode"] = self._rng.choice(("ignore", "replace", "update", "conflict", "other"))
        return self._target(None, params)

    def _change(self) -> Request:
        key = self._key()
        target = self._target(key, self._versioned(self._params((*_COMMON, *_CHANGE))))
        body = _text(self._document(key=0.2, rev=0.3, restore=_restores(target)))
        return Request(self._rng.choice(("PUT", "PATCH")), target, self._match(key), body)

    def _change_many(self) -> Request:
        target = self._target(None, self._versioned(self._params((*_COMMON, *_CHANGE))))
        body = _text(self._documents(key=0.9, restore=_restores(target)))
        return Request(self._rng.choice(("PUT", "PATCH")), target, self._match("a"), body)

    def _remove(self) -> Request:
        key = self._key()
        return Request("DELETE", self._target(key, self._params((*_COMMON, "ignoreRevs"))), self._match(key))

    def _remove_many(self) -> Request:
        rng = self._rng
        items: list[Any] = []
        for _ in range(rng.randrange(5)):
            key = self._key()
            items.append(rng.choice((key, f"any/{key}", {"_key": key}, {"_key": key, "_rev": self._rev(key)}, 1, {})))
        body: Any = items if rng.random() < 0.9 else {"_key": self._key()}
        return Request("DELETE", self._target(None, self._params((*_COMMON, "ignoreRevs"))), body=_text(body))

    def _import(self) -> Request:
        rng = self._rng
        params = self._params(("complete", "details", "overwriteCollectionPrefix", "ignoreMissing"))
        params["collection"] = self._name
        if rng.random() < 0.1:
            params["overwrite"] = "true"
        if rng.random() < 0.6:
            params["onDuplicate"] = rng.choice(("error", "update", "replace", "ignore", "other"))
        for name in ("fromPrefix", "toPrefix"):
            if rng.random() < 0.3:
                params[name] = rng.choice(("p", "p/"))
        if rng.random() < 0.2:
            params["line"] = rng.choice(("3", "x"))
        kind = rng.choice(("documents", "array", "list", "auto", "", "other"))
        if kind:
            params["type"] = kind
        return Request("POST", "/_api/import?" + urlencode(params), body=self._import_body(kind))

    def _import_body(self, kind: str) -> str:
        rng = self._rng
        if kind in ("array", "list") or (kind == "auto" and rng.random() < 0.5):
            return _text(self._documents(key=0.7) if rng.random() < 0.95 else {"not": "an array"})
        if kind in ("documents", "auto"):
            lines = [_text(item) for item in self._documents(key=0.7)]
            lines += rng.choices(("", "{wrong", "[]"), k=rng.randrange(2))
            rng.shuffle(lines)
            return rng.choice(("\n", "\r\n")).join(lines) + rng.choice(("", "\n"))
        rows: list[Any] = [["_key", "n", "_from", "_to"]]
        for _ in range(rng.randrange(4)):
            rows.append([self._key(), self._value(), "v/1", "2"][: rng.choice((4, 4, 4, 3))])
        return "\n".join(map(_text, rows)) + rng.choice(("", "\n", "\n{}\n"))

    def _read(self) -> Request:
        key = self._key()
        header = self._rng.choice(("if-match", "if-none-match"))
        return Request(self._rng.choice(("GET", "HEAD")), self._target(key, {}), self._match(key, header))

    def _read_many(self) -> Request:
        items = [self._rng.choice((self._key(), {"_key": self._key()}, 3)) for _ in range(self._rng.randrange(4))]
        return Request("PUT", self._target(None, {"onlyget": "true"}), body=_text(items))

    def _mistake(self) -> Request:
        rng = self._rng
        method = rng.choice(("POST", "PUT", "PATCH", "DELETE"))
        key = None if method == "POST" or rng.random() < 0.5 else self._key()
        name = rng.choice((self._name, self._name, "absent"))
        body = rng.choice(("", "{", "[1", "null", "3", '"a"', '{"a":1,"a":2}', "[]", "{}", "[[]]"))
        if rng.random() < 0.2:
            collection = "" if rng.random() < 0.5 else "?collection=absent"
            return Request("POST", "/_api/import" + collection, body=body)
        return Request(method, self._target(key, {}, name), body=body)


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _restores(target: str) -> bool:
    return "isRestore=" in target
