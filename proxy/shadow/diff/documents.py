"""Compare documents and rows: are they equal, and if not, where and how? Pure, a few microseconds per document.

What counts (DESIGN sections 5 to 7): values as ArangoDB compares them, so that `1` is `1.0` and `true` is not `1`;
order of attributes never; order of array elements always; order of a query's rows as far as the query determines it.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from proxy.model import json_reader
from proxy.model.json_values import INT_MAX, INT_MIN, same
from proxy.model.revision import INVALID, decode_rev

MAX_PATHS: Final = 20
MAX_KEYS: Final = 100
_REMEMBERED, _REMEMBERED_BYTES = 512, 16 << 10  # pairs of documents, and the bytes of one pair
MAX_PARTS: Final = 20  # differences of one answer that are distinguished
_MISSING: Final = object()


class Kind(enum.StrEnum):
    """Classes of mismatch (DESIGN section 7), the most severe first. WRITE: found by a rehearsal, not by a read."""

    ERROR = "error"
    MISSING = "missing"
    EXTRA = "extra"
    STALE = "stale"
    VALUE = "value"
    TYPE = "type"
    ORDER = "order"
    WRITE = "write"


_RANK: Final = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two answers. paths: sorted, array indexes as `[]`, at most MAX_PATHS; keys: of the documents.

    same_revision: the documents have one `_rev` and other content, which lag cannot explain (I8). also: if answers
    contain several documents, what else differs, a value for each class and paths; this is the most severe.
    """

    kind: Kind
    paths: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    same_revision: bool = False
    also: tuple[Difference, ...] = ()

    def each(self) -> tuple[Difference, ...]:
        """Yield this and what else differs, one by one."""
        return (replace(self, also=()), *self.also) if self.also else (self,)

    @property
    def certain(self) -> bool:
        """True if lag cannot explain any of it."""
        return self.same_revision and all(one.same_revision for one in self.also)

    def definite(self) -> Difference | None:
        """Return the part of it that lag cannot explain."""
        return gathered(one for one in self.each() if one.same_revision)


def gathered(found: Iterable[Difference]) -> Difference | None:
    """Merge the differences of several documents, those of one class and paths together; None for none."""
    groups: dict[tuple[Kind, tuple[str, ...], bool], dict[str, None]] = {}
    for one in found:
        groups.setdefault((one.kind, one.paths, one.same_revision), {}).update(dict.fromkeys(one.keys))
    parts = [
        Difference(kind, paths, tuple(sorted(keys))[:MAX_KEYS], same_revision=certain)
        for (kind, paths, certain), keys in groups.items()
    ]
    if not parts:
        return None
    parts.sort(key=lambda one: (_RANK[one.kind], one.paths))
    return replace(parts[0], also=tuple(parts[1:MAX_PARTS]))


@dataclass(frozen=True, slots=True)
class TargetRows:
    """The target's rows, all of them, with what the query leaves undetermined.

    groups: sizes of the runs of equal sort key; None: all rows are one multiset. first_run, last_run: all values of the
    run that LIMIT cuts at the beginning and at the end; None if it cuts none. Their rows compare by membership.
    unordered: arrays inside the rows have no determined order. chosen: the query does not determine which of last_run
    it returns; `rows` are as many of them as it must return.
    """

    rows: Sequence[Any]
    groups: Sequence[int] | None
    first_run: Sequence[Any] | None = None
    last_run: Sequence[Any] | None = None
    unordered: bool = False
    chosen: bool = False

    def with_unordered(self) -> TargetRows:
        """Return the same rows with each array in a canonical order."""
        runs = [None if run is None else _unordered(run) for run in (self.first_run, self.last_run)]
        return TargetRows(_unordered(self.rows), self.groups, runs[0], runs[1], chosen=self.chosen)


class NotComparable(Exception):
    """The answers cannot be compared; the text is the reason that is counted."""


# ---- documents


def compare_documents(origin_raw: bytes, target_raw: bytes) -> Difference | None:
    """Compare one document as both sides print it; None if they are equal. Raise ValueError if one is not JSON."""
    if origin_raw == target_raw:
        return None
    if len(origin_raw) + len(target_raw) > _REMEMBERED_BYTES:
        return _compare_documents.__wrapped__(origin_raw, target_raw)
    return _compare_documents(origin_raw, target_raw)


@lru_cache(maxsize=_REMEMBERED)  # what differs is read again: by clients, and by the recheck
def _compare_documents(origin_raw: bytes, target_raw: bytes) -> Difference | None:
    return compare_values(json_reader.load(origin_raw), json_reader.load(target_raw))


def compare_values(origin: Any, target: Any) -> Difference | None:
    """Like `compare_documents`, for parsed values. Of two revisions: `stale` if the target's is the older."""
    if _equal(origin, target):
        return None
    keys = tuple(dict.fromkeys(key for value in (origin, target) if (key := key_of(value)) is not None))
    ours, theirs = _revision(origin), _revision(target)
    if ours is not None and theirs is not None and ours != theirs:
        return revision_difference(ours, theirs, keys)
    kind, paths = _summary(differences(origin, target))
    return Difference(kind, paths, keys, same_revision=ours is not None and ours == theirs)


def _equal(origin: Any, target: Any) -> bool:
    """Like `same`, three times as fast for values that are equal except for the order of attributes."""
    if origin != target:
        return False
    if type(origin) is str:
        return True
    try:
        # Python's == equates true and 1, which is its only error here; most have the same order of attributes
        if orjson.dumps(origin) == orjson.dumps(target):
            return True
        if orjson.dumps(origin, option=orjson.OPT_SORT_KEYS) == orjson.dumps(target, option=orjson.OPT_SORT_KEYS):
            return True
    except TypeError:  # a lone surrogate
        pass
    return same(origin, target)


def revision_difference(origin: str, target: str, keys: tuple[str, ...]) -> Difference:
    """Return the difference of two revisions of one document: `stale`; or, if the target's is newer or not a revision,
    a value of `_rev`.
    """
    ours, theirs = decode_rev(origin), decode_rev(target)
    if INVALID not in (ours, theirs) and theirs < ours:
        return Difference(Kind.STALE, (), keys)
    return Difference(Kind.VALUE, ("_rev",), keys)


def differences(origin: Any, target: Any, path: str = "") -> Iterator[tuple[Kind, str]]:
    """Yield every place where two values differ, with its kind: type, value, or order (an array's elements change
    places).
    """
    if isinstance(origin, dict) and isinstance(target, dict):
        for name, value in origin.items():
            other = target.get(name, _MISSING)
            if other is _MISSING:
                yield Kind.VALUE, _member(path, name)
            elif not _equal(value, other):
                yield from differences(value, other, _member(path, name))
        for name in target:
            if name not in origin:
                yield Kind.VALUE, _member(path, name)
    elif isinstance(origin, list) and isinstance(target, list):
        inside = f"{path}[]"
        if len(origin) != len(target):
            yield Kind.VALUE, inside
            return
        # pairs that are equal are equal in both multisets
        unequal = [pair for pair in zip(origin, target, strict=True) if not _equal(*pair)]
        if unequal and Counter(canonical(one) for one, _ in unequal) == Counter(canonical(one) for _, one in unequal):
            yield Kind.ORDER, inside
        else:
            for left, right in unequal:
                yield from differences(left, right, inside)
    elif not same(origin, target):
        yield Kind.VALUE if _type(origin) == _type(target) else Kind.TYPE, path


def _summary(found: Iterator[tuple[Kind, str]]) -> tuple[Kind, tuple[str, ...]]:
    kinds: set[Kind] = set()
    paths: set[str] = set()
    for kind, path in found:
        kinds.add(kind)
        paths.add(path)
    kept = sorted(paths)
    if len(kept) > MAX_PATHS:
        kept = [*kept[: MAX_PATHS - 1], "…"]
    return min(kinds, key=_RANK.__getitem__), tuple(kept)


def _member(path: str, name: str) -> str:
    plain = name.replace("_", "a").isalnum()
    shown = name if plain else json.dumps(name, ensure_ascii=True)
    return f"{path}.{shown}" if path else shown


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def key_of(value: Any) -> str | None:
    """Return the `_key` of a document; None for anything else."""
    key = value.get("_key") if isinstance(value, dict) else None
    return key if isinstance(key, str) else None


def _revision(value: Any) -> str | None:
    rev = value.get("_rev") if isinstance(value, dict) else None
    return rev if isinstance(rev, str) else None


# ---- rows of a query


def compare_rows(origin: Sequence[Any], target: TargetRows, *, partial: bool = False) -> Difference | None:
    """Compare the rows of a query. partial: `origin` is the first batch of more.

    Raise NotComparable("partial") for a first batch of rows in no determined order.
    """
    found = _compare_rows(origin, target, partial=partial)
    if found is None or not target.unordered:
        return found
    # arrays inside rows have the order of a scan: they compare as multisets, and so stored ones do too
    return _compare_rows(_unordered(origin), target.with_unordered(), partial=partial) and found


def _compare_rows(origin: Sequence[Any], target: TargetRows, *, partial: bool) -> Difference | None:
    if partial and target.groups is None and len(target.rows) > len(origin):
        raise NotComparable("partial")
    sized = len(origin) <= len(target.rows) if partial else len(origin) == len(target.rows)
    if sized and all(_run_agrees(*run) for run in _runs(origin, target)):
        return None
    if target.chosen:
        return _choice_difference(origin, target)
    whole = target.rows if not partial else target.rows[: len(origin)]
    return _rows_difference(origin, whole)


def _choice_difference(origin: Sequence[Any], target: TargetRows) -> Difference:
    """Compare rows for which any choice among the candidates is valid: rows that are not candidates, or their number,
    differ.
    """
    candidates = target.last_run or ()
    left = _unmatched(origin, candidates)
    if not left:
        return Difference(Kind.MISSING if len(origin) > len(target.rows) else Kind.EXTRA, ("count",))
    by_left, known = _identified(left), _identified(candidates)
    if by_left is None or known is None:
        return Difference(Kind.MISSING, (), _keys(left))
    return _rows_difference(left, [known[identity] for identity in by_left if identity in known])


def _runs(origin: Sequence[Any], target: TargetRows) -> Iterator[tuple[Sequence[Any], Sequence[Any]]]:
    """Yield (rows of the origin, rows of the target among which they must be), run by run."""
    groups = [len(target.rows)] if target.groups is None else target.groups
    begin = 0
    for number, size in enumerate(groups):
        if begin >= len(origin) and size:
            return
        wanted = target.rows[begin : begin + size]
        if number == 0 and target.first_run is not None:
            wanted = target.first_run
        if number == len(groups) - 1 and target.last_run is not None:
            wanted = target.last_run
        yield origin[begin : begin + size], wanted
        begin += size


def _run_agrees(origin: Sequence[Any], target: Sequence[Any]) -> bool:
    if len(origin) == len(target) and all(map(same, origin, target)):
        return True
    left, right = Counter(map(canonical, origin)), Counter(map(canonical, target))
    return left <= right


def _rows_difference(origin: Sequence[Any], target: Sequence[Any]) -> Difference:
    """Return what differs in rows that are known to differ: rows that are documents are matched by their identity."""
    left = _unmatched(origin, target)
    right = _unmatched(target, origin)
    if not left and not right:
        return Difference(Kind.ORDER, ("[]",), _keys(origin))
    by_left, by_right = _identified(left), _identified(right)
    if by_left is None or by_right is None:
        return _unidentified(left, right)
    found = []
    for identity in by_left.keys() | by_right.keys():
        keys = (identity.rpartition("/")[2],)
        if identity not in by_right or identity not in by_left:
            found.append(Difference(Kind.MISSING if identity not in by_right else Kind.EXTRA, (), keys))
            continue
        one = compare_values(by_left[identity], by_right[identity])
        if one is not None:
            found.append(replace(one, paths=tuple(f"[].{path}" for path in one.paths), keys=keys))
    different = gathered(found)
    assert different is not None  # rows without an equal differ from all
    return different


def _unidentified(left: Sequence[Any], right: Sequence[Any]) -> Difference:
    keys = tuple(dict.fromkeys((*_keys(left), *_keys(right))))[:MAX_KEYS]
    if len(left) != len(right):
        return Difference(Kind.MISSING if len(left) > len(right) else Kind.EXTRA, (), keys)
    kind, paths = _summary(found for pair in zip(left, right, strict=True) for found in differences(*pair, "[]"))
    return Difference(kind, paths, keys)


def _unmatched(rows: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    there = Counter(map(canonical, others))
    left = []
    for row in rows:
        text = canonical(row)
        if there[text] > 0:
            there[text] -= 1
        else:
            left.append(row)
    return left


def _identified(rows: Sequence[Any]) -> Mapping[str, Any] | None:
    """Return rows by `_id` (or `_key`); None if one has none, or two have the same."""
    found: dict[str, Any] = {}
    for row in rows:
        identity = row.get("_id") or row.get("_key") if isinstance(row, dict) else None
        if not isinstance(identity, str) or identity in found:
            return None
        found[identity] = row
    return found


def _keys(rows: Sequence[Any]) -> tuple[str, ...]:
    return tuple(key for row in rows if (key := key_of(row)) is not None)[:MAX_KEYS]


def _unordered(rows: Sequence[Any]) -> list[Any]:
    return [_sorted_arrays(row) for row in rows]


def _sorted_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted_arrays(child) for name, child in value.items()}
    if isinstance(value, list):
        return sorted((_sorted_arrays(child) for child in value), key=canonical)
    return value


def canonical(value: Any) -> bytes:
    """Return bytes that are equal exactly for values that are the `same`."""
    plain = _canonical(value)
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a lone surrogate
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        whole = value.is_integer() and INT_MIN <= value <= INT_MAX
        return int(value) if whole and INT_MIN <= int(value) <= INT_MAX else value
    if isinstance(value, dict):
        return {name: _canonical(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(child) for child in value]
    return value
