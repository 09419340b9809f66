"""What can be known of a query without running it: collections, effect, shape, determinism, filtered attributes.

The static part is worked out once a tree and kept with it; `analyse` adds what the bind variables tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.aql import ast
from proxy.aql.check import Access, accesses, check, check_accesses, collection_name
from proxy.aql.shape import shape_of
from proxy.aql.signatures import FETCHING, RANDOM, UNSUPPORTED
from proxy.errors import ArangoError


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a query does.

    reads, writes: collection names, at any depth, those of WITH included in reads. named: those of `reads` that only
    DOCUMENT names, by a constant, and that need not be there. dynamic: it reads collections that
    only its run can tell (DOCUMENT of a computed id, a named graph). graphs: the named graphs, where constant.
    shape: see `shape_of`. choices: why its result is not determined by the data, in words; empty: it is.
    unordered: arrays inside a row come in the order of a scan. filters, sorts: attribute paths, dotted.
    unsupported: by name, what the evaluator cannot do of it.
    """

    reads: frozenset[str]
    named: frozenset[str]
    writes: frozenset[str]
    modifies: bool
    dynamic: bool
    graphs: frozenset[str]
    shape: str
    choices: tuple[str, ...]
    unordered: bool
    has_sort: bool
    has_limit: bool
    parameters: frozenset[str]
    functions: frozenset[str]
    filters: frozenset[str]
    sorts: frozenset[str]
    unsupported: tuple[str, ...]

    @property
    def deterministic(self) -> bool:
        """Whether the data alone decides the rows (their order aside)."""
        return not self.choices


@dataclass(frozen=True, slots=True)
class _Facts:
    """The static part: the analysis with `@@name` in place of collections that a bind variable gives."""

    analysis: Analysis
    bound: tuple[str, ...]  # bind variables that name collections
    accesses: tuple[Access, ...]
    listed: frozenset[str]  # bind variables that stand in WITH as @name
    searched: frozenset[str]  # bind variables that UPSERT searches for


def analyse(query: ast.Query, bind_vars: Mapping[str, Any] | None = None) -> Analysis:
    """The analysis of a parsed query.

    Raises ArangoError 1540, 1541 (functions), 1551, 1552, 1553 (bind variables), 1501 (an UPSERT of no object), 1574
    (aggregates), 1575 (options), 1579 (an access behind a write).
    """
    facts = query.memo.get("facts")
    if not isinstance(facts, _Facts):
        check(query)
        facts = query.memo["facts"] = _facts(query)
    found = facts.analysis
    binds = bind_vars or {}
    if binds.keys() != found.parameters:
        for name in sorted(facts.listed - binds.keys()):
            source_name(binds, name)
        check_bind_names(found.parameters, binds)
    for name in facts.searched:
        if not isinstance(binds[name], dict):
            raise ArangoError(1501, "AQL: expecting object literal for upsert example (while parsing)")
    names = {f"@{name}": source_name(binds, name) for name in facts.bound}
    if facts.accesses:
        check_accesses(facts.accesses, names)
    if not facts.bound:
        return found
    return replace(
        found,
        reads=frozenset(names.get(name, name) for name in found.reads),
        writes=frozenset(names.get(name, name) for name in found.writes),
        graphs=frozenset(names.get(name, name) for name in found.graphs),
    )


def check_bind_names(declared: frozenset[str], binds: Mapping[str, Any]) -> None:
    """Raises 1551 for a bind parameter without a value, 1552 for a value without a parameter."""
    for name in sorted(declared - binds.keys()):
        raise ArangoError(1551, f"AQL: no value specified for declared bind parameter '{name}' (while parsing)")
    for name in sorted(binds.keys() - declared):
        raise ArangoError(1552, f"AQL: bind parameter '{name}' was not declared in the query (while parsing)")


def source_name(binds: Mapping[str, Any], name: str) -> str:
    """The collection that a bind variable names. Raises 1553 where it is no name."""
    value = binds.get(name)
    if not isinstance(value, str) or not value:
        raise ArangoError(1553, f"AQL: bind parameter '{name}' has an invalid value or type (while parsing)")
    return value


def scans(source: ast.Expr) -> bool:
    """Whether a FOR over it goes through a collection."""
    return isinstance(source, ast.Collection) or (isinstance(source, ast.Parameter) and source.source)


def path_of(node: ast.Node) -> tuple[str, tuple[str, ...]] | None:
    """Variable and attribute path of `v.a.b`; None for anything else."""
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.append(node.name)
        node = node.base
    return (node.name, tuple(reversed(path))) if isinstance(node, ast.Variable) else None


def _facts(query: ast.Query) -> _Facts:
    reads: set[str] = {collection_name(node) for node in query.with_collections}
    writes: set[str] = set()
    graphs: set[str] = set()
    parameters: set[str] = set()
    functions: set[str] = set()
    filters: set[str] = set()
    sorts: set[str] = set()
    named: set[str] = set()
    unsupported: list[str] = []
    has_sort = has_limit = dynamic = False
    targets: set[int] = set()
    for node in ast.walk(query):
        if isinstance(node, ast.Parameter):
            parameters.add(node.name)
            if node.source and id(node) not in targets:
                reads.add(f"@{node.name}")
        elif isinstance(node, ast.Collection):
            if id(node) not in targets:
                reads.add(node.name)
        elif isinstance(node, (ast.Insert, ast.Change, ast.Remove, ast.Upsert)):
            targets.add(id(node.collection))
            writes.add(collection_name(node.collection))
            if isinstance(node, ast.Upsert):
                reads.add(collection_name(node.collection))
        elif isinstance(node, ast.Call):
            functions.add(node.name)
            if node.name in UNSUPPORTED:
                unsupported.append(f"function {node.name}")
            dynamic |= _documents(node, named)
        elif isinstance(node, (ast.Traversal, ast.Paths)):
            # WITH names the collections of vertices: what a walk meets beyond them is refused as it runs
            dynamic |= not query.with_collections or node.graph is not None
            for edge in node.edges:
                reads.add(collection_name(edge.collection))
                targets.add(id(edge.collection))
            if node.graph is not None:
                graphs.add(str(node.graph.value) if isinstance(node.graph, ast.Literal) else _parameter(node.graph))
        elif isinstance(node, ast.For) and node.search is not None:
            unsupported.append("SEARCH")
        elif isinstance(node, ast.Filter):
            filters.update(_paths(node.condition))
        elif isinstance(node, ast.Sort):
            has_sort = True
            for key in node.keys:
                sorts.update(_paths(key.value))
        elif isinstance(node, ast.Limit):
            has_limit = True
    choices = [f"{name}()" for name in sorted(functions & RANDOM)]
    unordered = False
    for statements in _levels(query):
        choices += _level_choices(statements)
    for node in ast.walk(query):
        if isinstance(node, ast.Subquery) and not _ordered(node.query.statements):
            unordered = True
    analysis = Analysis(
        reads=frozenset(reads | named),
        named=frozenset(named - reads),
        writes=frozenset(writes),
        modifies=bool(writes),
        dynamic=dynamic,
        graphs=frozenset(graphs),
        shape=shape_of(query.text) if query.text else "",
        choices=tuple(dict.fromkeys(choices)),
        unordered=unordered,
        has_sort=has_sort,
        has_limit=has_limit,
        parameters=frozenset(parameters),
        functions=frozenset(functions),
        filters=frozenset(filters),
        sorts=frozenset(sorts),
        unsupported=tuple(dict.fromkeys(unsupported)),
    )
    bound = {name[1:] for name in reads | writes | graphs if name.startswith("@")}
    return _Facts(
        analysis,
        tuple(sorted(bound)),
        accesses(query),
        frozenset(node.name for node in query.with_collections if isinstance(node, ast.Parameter) and not node.source),
        frozenset(
            node.search.name
            for node in ast.walk(query)
            if isinstance(node, ast.Upsert) and isinstance(node.search, ast.Parameter)
        ),
    )


def _parameter(node: ast.Expr) -> str:
    return f"@{node.name}" if isinstance(node, ast.Parameter) else ""


def _documents(call: ast.Call, reads: set[str]) -> bool:
    """Collections that DOCUMENT names by constants; whether it reads others."""
    if call.name not in FETCHING:
        return False
    first = call.arguments[0] if call.arguments else None
    if call.name == "DOCUMENT" and isinstance(first, ast.Literal) and isinstance(first.value, str):
        name, slash, _ = first.value.partition("/")
        if slash or len(call.arguments) == 2:
            reads.add(name)
            return False
    return not isinstance(first, ast.Collection) and not (isinstance(first, ast.Parameter) and first.source)


def _paths(node: ast.Node) -> Iterator[str]:
    for below in ast.walk(node):
        if isinstance(below, ast.Attribute):
            path = path_of(below)
            if path is not None:
                yield ".".join(path[1])


def _levels(query: ast.Query) -> Iterator[tuple[ast.Statement, ...]]:
    yield query.statements
    for node in ast.walk(query):
        if isinstance(node, ast.Subquery):
            yield node.query.statements


def _level_choices(statements: tuple[ast.Statement, ...]) -> Iterator[str]:
    """Where the rows of one level depend on the order of a scan."""
    scanned = ordered = False
    for statement in statements:
        if isinstance(statement, (ast.For, ast.Traversal, ast.Paths)):
            if not isinstance(statement, ast.For) or scans(statement.source):
                scanned, ordered = True, False
        elif isinstance(statement, ast.Sort):
            ordered = True
        elif isinstance(statement, ast.Collect):
            ordered = True
            if statement.into is not None and scanned:
                yield "COLLECT INTO keeps the order of a scan"
        elif isinstance(statement, ast.Limit) and scanned and not ordered:
            yield "LIMIT without SORT"


def _ordered(statements: tuple[ast.Statement, ...]) -> bool:
    """Whether the rows of a subquery come in an order of their own."""
    scanned = False
    for statement in statements:
        if isinstance(statement, (ast.Traversal, ast.Paths)) or (
            isinstance(statement, ast.For) and scans(statement.source)
        ):
            scanned = True
        elif isinstance(statement, (ast.Sort, ast.Collect)):
            scanned = False
    return not scanned
