"""`/_api/import`: how its writes become known, although it answers counts, and neither keys nor revisions. Pure.

If every document names its key, the request is forwarded as it is and the keys are read again. If ArangoDB makes keys,
it becomes array writes with the same semantics, whose answers show them, and the same summary. Array writes have no all
or nothing (`complete`), and no list of what was wrong with each document (`details`): then it is forwarded as it is as
well, and what it wrote is found by its revisions. Formats and counts: protocol page, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from proxy.capture.answers import Opaque, flag
from proxy.model.json_trim import elements, members
from proxy.model.json_values import dump
from proxy.model.operations import Operation

_MODES: Final = {"error": "conflict", "update": "update", "replace": "replace", "ignore": "ignore"}
_UNIQUE: Final = 1210
_BATCH: Final = 1000  # documents in one array write
_PREFIXES: Final = (("_from", "fromPrefix"), ("_to", "toPrefix"))


@dataclass(frozen=True, slots=True)
class ByKeys:
    """Forwarded as it is; whatever it writes has one of these keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByRevisions:
    """Forwarded as it is; whatever it writes has a new revision. keys: those that it names, of some documents."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FullResync:
    """Forwarded as it is; it truncates first, so the collection is compared as a whole."""


@dataclass(frozen=True, slots=True)
class ByArrays:
    """Array writes instead. target: without the database. bad, empty: how many items are not sent at all."""

    target: str
    bodies: tuple[bytes, ...]
    mode: str
    bad: int
    empty: int


ImportPlan = ByKeys | ByRevisions | FullResync | ByArrays


@dataclass(frozen=True, slots=True)
class Items:
    """documents: JSON objects as texts. bad: how many others. empty: how many blank lines."""

    documents: tuple[bytes, ...]
    bad: int
    empty: int


class _Keyed(msgspec.Struct):
    key: str | None = msgspec.field(name="_key", default=None)


class _Answer(msgspec.Struct):
    old: str | None = msgspec.field(name="_oldRev", default=None)
    error: bool = False
    number: int = msgspec.field(name="errorNum", default=0)
    new: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_KEYED: Final = msgspec.json.Decoder(_Keyed)
_ANSWERS: Final = msgspec.json.Decoder(list[_Answer])
_NAMES: Final = msgspec.json.Decoder(list[str])


def plan(operation: Operation, rehearsed: bool = False) -> ImportPlan | Opaque:  # noqa: FBT001, FBT002
    """Return how an import of `operation.collection` is captured, or why it is not.

    rehearsed: it becomes array writes if it can, even if every document names its key: their answers show what was met.
    """
    assert operation.collection is not None
    params, name = operation.params, operation.collection
    if flag(params.get("overwrite")):
        return FullResync()
    mode = _MODES.get(params.get("onDuplicate", ""), "conflict")  # as ArangoDB reads any other word
    try:
        items = read(operation.body, params)
    except (ValueError, msgspec.DecodeError):  # ArangoDB very likely refuses it as well
        return Opaque("import of a body that cannot be read", (f"{operation.database}/{name}",))
    keys = [key_of(document) for document in items.documents]
    known = tuple(dict.fromkeys(key for key in keys if key is not None))
    whole = mode is None or flag(params.get("complete")) or flag(params.get("details"))
    if None not in keys and (whole or not rehearsed):
        return ByKeys(known)
    if whole:
        return ByRevisions(known)
    options = f"overwriteMode={mode}&keepNull=true&mergeObjects=true"
    if mode == "ignore":
        options += "&returnNew=true"  # otherwise the answer does not show what was ignored
    if flag(params.get("waitForSync")):
        options += "&waitForSync=true"
    documents = [_prefixed(document, params) for document in items.documents]
    bodies = [b"[" + b",".join(documents[at : at + _BATCH]) + b"]" for at in range(0, len(documents), _BATCH)]
    target = f"/_api/document/{quote(name, safe='')}?{options}"
    return ByArrays(target, tuple(bodies), mode, items.bad, items.empty)


def read(body: bytes, params: Mapping[str, str]) -> Items:
    """Return the documents of a body in the format that `type` names. Raise ValueError, msgspec.DecodeError."""
    kind = params.get("type", "")
    if kind == "auto":
        kind = "array" if body.lstrip()[:1] == b"[" else "documents"
    if kind in ("array", "list"):
        return _sorted(elements(body), 0)
    lines = [line.strip() for line in body.replace(b"\r\n", b"\n").split(b"\n")]
    if not lines[-1]:
        lines.pop()
    if kind == "documents":
        return _sorted([line for line in lines if line], lines.count(b""))
    if kind or not lines:
        raise ValueError("no type of import")
    return _rows(lines[0], lines[1:], lenient=flag(params.get("ignoreMissing")))


def key_of(document: bytes) -> str | None:
    """Return the key that a document names; None if ArangoDB makes it, or refuses the document."""
    try:
        return _KEYED.decode(document).key
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return next((_text(document[m.value : m.end]) for m in members(document) if m.name == "_key"), None)


def summary(plan: ByArrays, answers: Iterable[bytes]) -> bytes:
    """Return what the import answers, from the answers to its array writes. Raise ValueError if one cannot be read."""
    created = updated = ignored = 0
    errors = plan.bad
    for body in answers:
        for answer in _ANSWERS.decode(body):
            if answer.error:
                if plan.mode == "ignore" and answer.number == _UNIQUE:
                    ignored += 1
                else:
                    errors += 1
            elif answer.old is not None:
                updated += 1
            elif plan.mode == "ignore" and not bytes(answer.new):
                ignored += 1
            else:
                created += 1
    shown = {"error": False, "created": created, "errors": errors, "empty": plan.empty}
    return dump(shown | {"updated": updated, "ignored": ignored})


# ---- parts


def _sorted(items: Sequence[bytes], empty: int) -> Items:
    good = tuple(item for item in items if _is_object(item))
    return Items(good, len(items) - len(good), empty)


def _is_object(item: bytes) -> bool:
    if item[:1] != b"{":
        return False
    try:
        msgspec.json.decode(item, type=msgspec.Raw)
    except msgspec.DecodeError:
        try:
            for _ in members(item):
                pass
        except ValueError:
            return False
    return True


def _rows(header: bytes, lines: Sequence[bytes], *, lenient: bool) -> Items:
    """Return the documents of the oldest format: an array of names, then arrays of values; null means no attribute."""
    names = [dump(name) for name in _NAMES.decode(header)]
    if not all(len(name) > 2 for name in names):
        raise ValueError("an attribute without a name")
    documents: list[bytes] = []
    bad = 0
    for line in lines:
        if not line:
            continue
        try:
            values = elements(line)
        except ValueError:
            values = None
        if values is None or (len(values) != len(names) and not lenient):
            bad += 1
            continue
        pairs = zip(names, values, strict=False)
        documents.append(b"{" + b",".join(name + b":" + value for name, value in pairs if value != b"null") + b"}")
    return Items(tuple(documents), bad, lines.count(b""))


def _prefixed(document: bytes, params: Mapping[str, str]) -> bytes:
    """Return the document with `fromPrefix` and `toPrefix` applied: the collection's name before a bare key."""
    if not any(params.get(parameter) for _, parameter in _PREFIXES):
        return document
    for name, parameter in _PREFIXES:
        prefix = params.get(parameter, "").rstrip("/")
        end = next((m for m in members(document) if m.name == name), None)
        if not prefix or end is None:
            continue
        value = _end(document[end.value : end.end])
        if value is None:
            continue
        _, slash, key = value.partition("/")
        if slash and not flag(params.get("overwriteCollectionPrefix")):
            continue
        document = document[: end.value] + dump(f"{prefix}/{key if slash else value}") + document[end.end :]
    return document


def _end(raw: bytes) -> str | None:
    """Return one end of an edge as text: ArangoDB puts a prefix before whole numbers too."""
    number = raw.strip()
    return number.decode() if number.removeprefix(b"-").isdigit() else _text(raw)


def _text(raw: bytes) -> str | None:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, str) else None
