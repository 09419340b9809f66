"""A query's fetch as one of the scans of `store.sql`: pure. A scan may return too many documents, never too few."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sql
from proxy.model import json_values
from proxy.model.documents import escape_text, valid_key
from sql.statement import Statement

Equality = tuple[tuple[str, ...], Any]
_OUTSIDE_DOC = frozenset({"_key", "_id", "_rev"})


@dataclass(frozen=True, slots=True)
class ScanStatement:
    """statement: one of `sql.store`; value: its third parameter, None if it has none.

    If no document can pass, the scan is one of no keys: it still tests the fence.
    """

    statement: Statement[sql.store.HeldDocument]
    value: str | list[str] | None = None


def scan_of(
    collection: str,
    equalities: Sequence[Equality],
    keys: Sequence[str] | None,
    among: tuple[tuple[str, ...], Sequence[str]] | None = None,
) -> ScanStatement:
    """Return the narrowest scan: by key if keys are known, else by containment of the equalities that jsonb can test.

    An equality with null is left to the evaluator (a missing attribute is null too), and so are lists and objects
    (`{}` equals `{a: null}` in AQL). Strings are escaped as they are in `doc`; numbers are printed as ArangoDB does.
    """
    wanted = list(keys) if keys is not None else _keys_of(collection, equalities)
    if wanted is not None:
        return ScanStatement(sql.store.SCAN_KEYS, [key for key in wanted if valid_key(key)])
    if among is not None and not equalities:
        path, texts = among
        return ScanStatement(
            sql.store.SCAN_AMONG, [json_values.dump(_containing([(path, text)])).decode() for text in texts]
        )
    containing = _containing(equalities)
    if not containing:
        return ScanStatement(sql.store.SCAN)
    return ScanStatement(sql.store.SCAN_CONTAINING, json_values.dump(containing).decode())


@dataclass(frozen=True, slots=True)
class OrderedScan:
    """statement: one of `sql.store` that returns documents by key; value: its parameter, None if it has none."""

    statement: Statement[str]
    value: str | list[str] | None = None


def ordered_scan_of(collection: str, equalities: Sequence[Equality], keys: Sequence[str] | None) -> OrderedScan:
    """Return the narrowest scan in the order of keys; as `scan_of`."""
    wanted = list(keys) if keys is not None else _keys_of(collection, equalities)
    if wanted is not None:
        return OrderedScan(sql.store.PAGES_KEYS, [key for key in wanted if valid_key(key)])
    containing = _containing(equalities)
    if not containing:
        return OrderedScan(sql.store.PAGES)
    return OrderedScan(sql.store.PAGES_CONTAINING, json_values.dump(containing).decode())


def scan_of_any(several: Sequence[Sequence[Equality]]) -> ScanStatement:
    """Return the scan of the documents that pass one of several lists of equalities, of which none names keys."""
    texts = [json_values.dump(containing).decode() for equalities in several if (containing := _containing(equalities))]
    if len(texts) < len(several):  # all documents pass one of them
        return ScanStatement(sql.store.SCAN)
    return ScanStatement(sql.store.SCAN_AMONG, texts)


def _keys_of(collection: str, equalities: Iterable[Equality]) -> list[str] | None:
    for path, value in equalities:
        if path == ("_key",):
            return [value] if isinstance(value, str) else []
        if path == ("_id",):
            prefix = f"{collection}/"
            return [value[len(prefix) :]] if isinstance(value, str) and value.startswith(prefix) else []
    return None


def _containing(equalities: Iterable[Equality]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in equalities:
        if not path or path[0] in _OUTSIDE_DOC or not _indexable(value):
            continue
        node = found
        for name in path[:-1]:
            inner = node.setdefault(escape_text(name), {})
            if not isinstance(inner, dict):  # two equalities contradict each other: left to the evaluator
                break
            node = inner
        else:
            node.setdefault(escape_text(path[-1]), escape_text(value) if isinstance(value, str) else value)
    return found


def _indexable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | bool | int)
