"""Whether PostgreSQL alone answers what clients were seen to ask, by the shapes and gaps that proxies count. Pure.

A shape of AQL is its text without literals (`proxy.aql.shape`). With a bind variable in the place of each literal it
can be analysed as a query is. What cannot be analysed is decided by whether PostgreSQL has answered it in a comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from proxy.aql import ast, parse
from proxy.aql.analyse import Analysis, analyse
from proxy.aql.lexer import tokenize
from proxy.base.errors import ArangoError
from proxy.complete.commands import COMMANDS, LEFT_OUT
from proxy.control.gates.gate_types import GapFact, ShapeFact
from proxy.control.gates.promotion_evidence import ServedFact
from proxy.control.gates.shape_text import short
from proxy.devserver.store.handlers import unsupported
from proxy.routing.query_shapes import NOT_UNDERSTOOD, OTHER

_LITERAL: Final = "@literal"
_SOURCE: Final = "@@source"
_ANY: Final = "source"  # the collection that every bind variable of a shape names
_OPERANDS: Final = frozenset({"id", "bind", "source", "str", "num", ")", "]", "}", "NULL", "TRUE", "FALSE"})
_QUANTIFIERS: Final = frozenset({"?", "ANY", "ALL", "NONE", "FILTER"})
_SCOPE: Final = "::"
_OWN_FUNCTION: Final = "user-defined function"
_QUERY: Final = "cursor.create"
_UNREADABLE: Final = "not understood"  # in the reason of a gap; the others are not of what PostgreSQL supports
# requests that run code on ArangoDB, which may use any collection of the database
_CODE: Final[Mapping[str, str]] = {
    "transaction.js": "JavaScript transactions",
    "foxx": "Foxx",
    "task": "tasks",
    "admin.execute": "JavaScript that is sent to be run",
    "batch": "batches of requests",
    "unknown": "requests of unknown paths, as services have",
}


@dataclass(frozen=True, slots=True)
class ShapeUse:
    """What a shape of AQL uses. names: collections that it names; open: it may use more, that bind variables name."""

    names: frozenset[str]
    open: bool
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenRequests:
    """What proxies have seen of one collection. same_shape: other collections with a shape, by shape.

    passed: endpoints of requests that name no collection; views: those of its database that link the collection.
    services: what runs code in its database, in words.
    """

    collection: str
    shapes: Sequence[ShapeFact]
    gaps: Sequence[GapFact]
    same_shape: Mapping[str, Collection[str]]
    passed: Mapping[str, int]
    views: Collection[str] = ()
    services: Collection[str] = ()


def examine_shape(text: str) -> ShapeUse | None:
    """Return what a shape of AQL uses; None if it cannot be analysed."""
    literals: tuple[object, ...] = ("literal", {})
    for literal in literals:  # an object where UPSERT takes its search from a bind variable
        try:
            query = parse(_as_query(text))
            parameters = {node.name: node.source for node in ast.walk(query) if isinstance(node, ast.Parameter)}
            analysis = analyse(query, {name: _ANY if source else literal for name, source in parameters.items()})
        except ArangoError:
            continue
        names = (analysis.reads | analysis.writes) - {_ANY, "literal"}
        own = (_OWN_FUNCTION,) if f" {_SCOPE} " in text else ()
        return ShapeUse(names, _is_open(text, analysis), (*analysis.unsupported, *own))
    return None


def served_fact(seen: SeenRequests, moving: Collection[str]) -> ServedFact:
    """Return what of it PostgreSQL alone does not answer. moving: collections that are promoted, or are about to be."""
    refused: list[str] = [f"the view {view} has it: queries of the view read ArangoDB" for view in sorted(seen.views)]
    unknown: list[str] = [f"{what} may use it" for what in seen.services]
    together: list[str] = []
    database = seen.collection.partition("/")[0]
    for shape in seen.shapes:
        if shape.exempt is not None:
            continue
        if shape.shape == shape.text and shape.shape != _QUERY:
            if not answered_alone(shape.shape):
                refused.append(f"{shape.shape} ({shape.seen} times)")
            continue
        use = None if shape.shape in (NOT_UNDERSTOOD.name, OTHER.name) else examine_shape(shape.text)
        found = tuple(use.unsupported) if use is not None else ()
        if found or shape.unsupported:
            refused.append(f"{short(shape.text)} ({', '.join(found) or 'not supported'}; {shape.seen} times)")
        elif use is None and shape.decided == 0:
            unknown.append(f"{short(shape.text)} ({shape.seen} times)")
        others = {f"{database}/{name}" for name in use.names} if use is not None else set()
        if use is None or use.open:
            others.update(seen.same_shape.get(shape.shape, ()))
        if apart := sorted(others - {seen.collection} - set(moving)):
            together.append(f"{short(shape.text)} also uses {', '.join(apart)} ({shape.seen} times)")
    for text, certain in _gaps(seen):
        (refused if certain else unknown).append(text)
    return ServedFact(len(seen.shapes) + len(seen.gaps), tuple(refused), tuple(unknown), tuple(together))


def _gaps(seen: SeenRequests) -> Iterator[tuple[str, bool]]:
    """Yield requests that were neither captured nor compared and that PostgreSQL alone does not answer, or may not."""
    for gap in seen.gaps:
        text = f"{gap.endpoint}: {gap.effect} ({gap.seen} times)"
        if gap.endpoint == OTHER.name or (gap.endpoint == _QUERY and _UNREADABLE in gap.effect):
            yield text, False
        elif not answered_alone(gap.endpoint):
            yield text, True
    for endpoint, number in seen.passed.items():
        if endpoint in _CODE:
            yield f"{_CODE[endpoint]} may use it ({number} times)", False


def needs_arangodb(endpoint: str) -> bool:
    """Return True if PostgreSQL alone does not answer an endpoint, or runs no code that it would run."""
    return endpoint in _CODE or not answered_alone(endpoint)


def answered_alone(endpoint: str) -> bool:
    """Return True if PostgreSQL alone answers an endpoint."""
    return endpoint in COMMANDS and endpoint not in LEFT_OUT and endpoint not in unsupported.COMMANDS


# ---- shapes


def _as_query(shape: str) -> str:
    """Return a shape with bind variables for its literals. Raise ArangoError 1501 if it is no sequence of tokens."""
    text = shape.replace("@@", _SOURCE)
    words: list[str] = []
    end = 0
    before = ""
    for token, after in pairwise(tokenize(text)):
        asks = before in _OPERANDS or (before == "[" and after.kind in _QUANTIFIERS)  # `a ? b : c`, `a[? ANY FILTER b]`
        if token.kind == "?" and not asks:
            words += [text[end : token.offset], _LITERAL]
            end = token.offset + 1
            before = "bind"
        else:
            before = token.kind
    return "".join([*words, text[end:]])


def _is_open(text: str, analysis: Analysis) -> bool:
    """Return True if bind variables, or values of documents, may name further collections."""
    return text.split().count("@@") > 1 or analysis.dynamic or analysis.by_values or bool(analysis.graphs)
