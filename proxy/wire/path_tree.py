"""A method and a path -> the row of `wire.endpoints`: a tree of path segments, one dictionary look-up a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.model.endpoint import Endpoint
from proxy.wire.endpoints import ROWS, SERVICE, UNKNOWN, UNKNOWN_SAFE

METHODS: Final = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"  # ArangoDB's answer to OPTIONS
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class EndpointPlace:
    """An endpoint at one pattern.

    collection, key: indexes of the segments (after `/_db/{db}`) that name them; -1 if none does. fixed: the path names
    no more than a collection, so that the same targets come again and again. parameter, flagged: the endpoint that it
    is if the query string has this parameter.
    """

    endpoint: Endpoint
    collection: int = -1
    key: int = -1
    fixed: bool = False
    parameter: str = ""
    flagged: Endpoint | None = None


@dataclass(slots=True)
class _Node:
    """One place in the tree of paths. rest: places of patterns that end in `*`."""

    children: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[str, EndpointPlace] = field(default_factory=dict)
    rest: dict[str, EndpointPlace] = field(default_factory=dict)


_ROOT: Final = _Node()
_UNKNOWN_SAFE, _UNKNOWN, _SERVICE = EndpointPlace(UNKNOWN_SAFE), EndpointPlace(UNKNOWN), EndpointPlace(SERVICE)


def knows_path(segments: Sequence[str]) -> bool:
    """Return True if some method is answered at that path."""
    node = _ROOT
    for segment in segments:
        following = node.children.get(segment) or node.variable
        if following is None:
            return False
        node = following
    return bool(node.methods or node.rest)


def find(method: str, segments: Sequence[str]) -> EndpointPlace:
    """Return the place of a method and decoded path segments (after `/_db/{db}`). Never fails: see `unknown`."""
    node = _ROOT
    rest: dict[str, EndpointPlace] = {}
    for segment in segments:
        if node.rest:
            rest = node.rest
        following = node.children.get(segment) or node.variable
        if following is None:
            break
        node = following
    else:
        place = node.methods.get(method)
        if place is not None:
            return place
        rest = node.rest or rest
    place = rest.get(method) or rest.get("ANY")
    if place is not None:
        return place
    if segments and segments[0][:1] != "_":
        return _SERVICE
    return _UNKNOWN_SAFE if method in _SAFE else _UNKNOWN


def _add(method: str, pattern: str, parameter: str, endpoint: Endpoint) -> None:
    segments = pattern.split("/")
    node = _ROOT
    for segment in segments:
        if segment == "*":
            break
        if segment[0] == "{":
            node.variable = node.variable or _Node()
            node = node.variable
        else:
            node = node.children.setdefault(segment, _Node())
    places = node.rest if segments[-1] == "*" else node.methods
    if parameter:
        places[method] = replace(places[method], parameter=parameter, flagged=endpoint)
        return
    at = {name: index for index, name in enumerate(segments)}
    fixed = "*" not in pattern and not any(name[0] == "{" and name != "{c}" for name in segments)
    places[method] = EndpointPlace(endpoint, at.get("{c}", -1), at.get("{k}", -1), fixed)


for _row in sorted(ROWS, key=lambda row: bool(row.parameter)):  # stable: those with a parameter after the plain ones
    _add(*_row)
