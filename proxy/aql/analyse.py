"""What can be known of a query without running it: collections, effect, shape, determinism, filtered attributes.

The static part is worked out once a tree and kept with it; `analyse` adds what the bind variables tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.aql import ast
from proxy.aql.check import Access, accesses, check, check_accesses, collection_name
from proxy.aql.choices import LIMITED, level_choices, levels, ordered, takes_any
from proxy.aql.named import collections_of, depends
from proxy.aql.shape import shape_of
from proxy.aql.signatures import FETCHING, RANDOM, UNSUPPORTED
from proxy.base.errors import ArangoError


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a query does.

    reads, writes: collection names, at any depth, those of WITH included in reads. named: those of `reads` that only
    DOCUMENT names, by a constant or a bind variable, and that need not be there. dynamic: it reads collections that
    only its run can tell (DOCUMENT of a computed id, a named graph). by_values: values of bind variables decide what
    it reads. graphs: the named graphs, where constant. shape: see `shape_of`. choices: why its result is not
    determined by the data, in words; empty: it is. takes_any: a LIMIT without SORT is all that is open (`choices`).
    unordered: arrays inside a row come in the order of a scan. filters, sorts: attribute paths, dotted.
    unsupported: by name, what the evaluator cannot do of it.
    """

    reads: frozenset[str]
    named: frozenset[str]
    writes: frozenset[str]
    modifies: bool
    dynamic: bool
    by_values: bool
    graphs: frozenset[str]
    shape: str
    choices: tuple[str, ...]
    takes_any: bool
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
    documents: tuple[ast.Call, ...]  # calls of DOCUMENT that values of bind variables decide
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
    if not facts.bound and not facts.documents:
        return found
    told = [collections_of(call, binds) for call in facts.documents]
    named = found.named.union(*(one for one in told if one is not None))
    reads = frozenset(names.get(name, name) for name in found.reads)
    return replace(
        found,
        reads=reads | named,
        named=named - (reads - found.named),
        dynamic=found.dynamic or None in told,
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
    documents: list[ast.Call] = []
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
            if node.name == "DOCUMENT":
                documents.append(node)
            elif node.name in FETCHING:
                first = node.arguments[0] if node.arguments else None
                dynamic |= not isinstance(first, ast.Collection) and not _names_collection(first)
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
    for statements in levels(query):
        choices += level_choices(statements)
    for node in ast.walk(query):
        if isinstance(node, ast.Subquery) and not ordered(node.query.statements):
            unordered = True
    constant = [collections_of(call, {}) for call in documents if not depends(call)]
    named = frozenset(name for told in constant for name in told or ())
    analysis = Analysis(
        reads=frozenset(reads | named),
        named=named - reads,
        writes=frozenset(writes),
        modifies=bool(writes),
        dynamic=dynamic or None in constant,
        by_values=any(map(depends, documents)),
        graphs=frozenset(graphs),
        shape=shape_of(query.text) if query.text else "",
        choices=tuple(dict.fromkeys(choices)),
        takes_any=set(choices) == {LIMITED} and takes_any(query),
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
        tuple(call for call in documents if depends(call)),
        accesses(query),
        frozenset(node.name for node in query.with_collections if isinstance(node, ast.Parameter) and not node.source),
        frozenset(
            node.search.name
            for node in ast.walk(query)
            if isinstance(node, ast.Upsert) and isinstance(node.search, ast.Parameter)
        ),
    )


def _names_collection(node: ast.Expr | None) -> bool:
    return isinstance(node, ast.Parameter) and node.source


def _parameter(node: ast.Expr) -> str:
    return f"@{node.name}" if isinstance(node, ast.Parameter) else ""


def _paths(node: ast.Node) -> Iterator[str]:
    for below in ast.walk(node):
        if isinstance(below, ast.Attribute):
            path = path_of(below)
            if path is not None:
                yield ".".join(path[1])
