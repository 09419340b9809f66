"""Analysis of a query without running it: collections, effect, shape, determinism, unsupported features.

The static part is computed once for a tree and kept with it; `analyse` adds what depends on the bind variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.aql import ast
from proxy.aql.check import Access, accesses, check, check_accesses, collection_name
from proxy.aql.choices import LIMITED, level_choices, levels, ordered, takes_any
from proxy.aql.named import collections_of, depends_on_binds
from proxy.aql.shape import shape_of
from proxy.aql.signatures import FETCHING, RANDOM, UNSUPPORTED
from proxy.aql.trees import is_collection
from proxy.base.errors import ArangoError


@dataclass(frozen=True, slots=True)
class Analysis:
    """The effects and properties of a query.

    reads, writes: names of collections, at any depth; those of WITH are in reads. named: the collections in `reads`
    that only DOCUMENT names, by a constant or a bind variable, and that need not exist. dynamic: which collections it
    reads is known only while it runs (DOCUMENT of a computed id, a named graph). by_values: values of bind variables
    decide what it reads. graphs: the named graphs, if constant. shape: see `shape_of`. choices: the reasons for which
    the data does not determine its result, in words. takes_any: a LIMIT without SORT is the only such reason
    (`choices.takes_any`). unordered: arrays inside a row are in the order of a scan. unsupported: names of the features
    that the evaluator does not support.
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
    parameters: frozenset[str]
    unsupported: tuple[str, ...]

    @property
    def deterministic(self) -> bool:
        """True if the data determines the rows, apart from their order."""
        return not self.choices


@dataclass(frozen=True, slots=True)
class _Facts:
    """The static part: the analysis with `@name` in place of a collection that the bind variable @@name gives.

    bound: bind variables that name collections. documents: calls of DOCUMENT that depend on values of bind variables.
    listed: bind variables in WITH that are written @name. searched: bind variables whose object UPSERT searches for.
    """

    analysis: Analysis
    bound: tuple[str, ...]
    documents: tuple[ast.Call, ...]
    accesses: tuple[Access, ...]
    listed: frozenset[str]
    searched: frozenset[str]


def analyse(query: ast.Query, bind_vars: Mapping[str, Any] | None = None) -> Analysis:
    """Analyse a parsed query.

    Raise ArangoError 1540, 1541 (functions), 1551, 1552, 1553 (bind variables), 1501 (an UPSERT of no object), 1574
    (aggregates), 1575 (options), 1579 (an access after a write).
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
    resolved = [collections_of(call, binds) for call in facts.documents]
    named = found.named.union(*(names for names in resolved if names is not None))
    reads = frozenset(names.get(name, name) for name in found.reads)
    return replace(
        found,
        reads=reads | named,
        named=named - (reads - found.named),
        dynamic=found.dynamic or None in resolved,
        writes=frozenset(names.get(name, name) for name in found.writes),
        graphs=frozenset(names.get(name, name) for name in found.graphs),
    )


def check_bind_names(declared: frozenset[str], binds: Mapping[str, Any]) -> None:
    """Raise ArangoError 1551 for a bind variable without a value, 1552 for a value without a variable."""
    for name in sorted(declared - binds.keys()):
        raise ArangoError(1551, f"AQL: no value specified for declared bind parameter '{name}' (while parsing)")
    for name in sorted(binds.keys() - declared):
        raise ArangoError(1552, f"AQL: bind parameter '{name}' was not declared in the query (while parsing)")


def source_name(binds: Mapping[str, Any], name: str) -> str:
    """Return the collection that a bind variable names. Raise ArangoError 1553 if its value is not a name."""
    value = binds.get(name)
    if not isinstance(value, str) or not value:
        raise ArangoError(1553, f"AQL: bind parameter '{name}' has an invalid value or type (while parsing)")
    return value


def path_of(node: ast.Node) -> tuple[str, tuple[str, ...]] | None:
    """Return the variable and the attribute path of `v.a.b`; None for any other expression."""
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.append(node.name)
        node = node.base
    return (node.name, tuple(reversed(path))) if isinstance(node, ast.Variable) else None


@dataclass(slots=True)
class _Collected:
    """The sum of what the nodes of a query do. targets: ids of nodes that name a collection without reading it."""

    has_with: bool
    reads: set[str]
    writes: set[str] = field(default_factory=set)
    graphs: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    random: set[str] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)
    documents: list[ast.Call] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    dynamic: bool = False
    unordered: bool = False
    targets: set[int] = field(default_factory=set)

    def add(self, node: ast.Node) -> None:
        """Add a node; parents come before their children."""
        collector = _COLLECTORS.get(node.__class__)
        if collector is not None:
            collector(self, node)


def _parameter(found: _Collected, node: ast.Parameter) -> None:
    found.parameters.add(node.name)
    if node.source and id(node) not in found.targets:
        found.reads.add(f"@{node.name}")


def _collection(found: _Collected, node: ast.Collection) -> None:
    if id(node) not in found.targets:
        found.reads.add(node.name)


def _modification(found: _Collected, node: ast.Modification) -> None:
    found.targets.add(id(node.collection))
    found.writes.add(collection_name(node.collection))


def _upsert(found: _Collected, node: ast.Upsert) -> None:
    _modification(found, node)
    found.reads.add(collection_name(node.collection))
    if isinstance(node.search, ast.Parameter):
        found.searched.add(node.search.name)


def _call(found: _Collected, node: ast.Call) -> None:
    if node.name in RANDOM:
        found.random.add(node.name)
    if node.name in UNSUPPORTED:
        found.unsupported.append(f"function {node.name}")
    if node.name == "DOCUMENT":
        found.documents.append(node)
    elif node.name in FETCHING:
        first = node.arguments[0] if node.arguments else None
        found.dynamic |= not is_collection(first)


def _graph_query(found: _Collected, node: ast.Traversal | ast.Paths) -> None:
    # WITH names the collections of vertices: a vertex of another one is refused while the query runs
    found.dynamic |= not found.has_with or node.graph is not None
    for edge in node.edges:
        found.reads.add(collection_name(edge.collection))
        found.targets.add(id(edge.collection))
    if isinstance(node.graph, ast.Literal):
        found.graphs.add(str(node.graph.value))
    elif isinstance(node.graph, ast.Parameter):
        found.graphs.add(f"@{node.graph.name}")


def _loop(found: _Collected, node: ast.For) -> None:
    if node.search is not None:
        found.unsupported.append("SEARCH")


def _subquery(found: _Collected, node: ast.Subquery) -> None:
    found.unordered |= not ordered(node.query.statements)


_COLLECTORS: Final[dict[type, Callable[[_Collected, Any], None]]] = {
    ast.Parameter: _parameter,
    ast.Collection: _collection,
    ast.Insert: _modification,
    ast.UpdateOrReplace: _modification,
    ast.Remove: _modification,
    ast.Upsert: _upsert,
    ast.Call: _call,
    ast.Traversal: _graph_query,
    ast.Paths: _graph_query,
    ast.For: _loop,
    ast.Subquery: _subquery,
}


def _facts(query: ast.Query) -> _Facts:
    found = _Collected(bool(query.with_collections), {collection_name(node) for node in query.with_collections})
    for node in ast.walk(query):
        found.add(node)
    choices = [f"{name}()" for name in sorted(found.random)]
    for statements in levels(query):
        choices += level_choices(statements)
    constant = [collections_of(call, {}) for call in found.documents if not depends_on_binds(call)]
    named = frozenset(name for names in constant for name in names or ())
    analysis = Analysis(
        reads=frozenset(found.reads | named),
        named=named - found.reads,
        writes=frozenset(found.writes),
        modifies=bool(found.writes),
        dynamic=found.dynamic or None in constant,
        by_values=any(map(depends_on_binds, found.documents)),
        graphs=frozenset(found.graphs),
        shape=shape_of(query.text) if query.text else "",
        choices=tuple(dict.fromkeys(choices)),
        takes_any=set(choices) == {LIMITED} and takes_any(query),
        unordered=found.unordered,
        parameters=frozenset(found.parameters),
        unsupported=tuple(dict.fromkeys(found.unsupported)),
    )
    bound = {name[1:] for name in found.reads | found.writes | found.graphs if name.startswith("@")}
    return _Facts(
        analysis,
        bound=tuple(sorted(bound)),
        documents=tuple(call for call in found.documents if depends_on_binds(call)),
        accesses=accesses(query),
        listed=frozenset(
            node.name for node in query.with_collections if isinstance(node, ast.Parameter) and not node.source
        ),
        searched=frozenset(found.searched),
    )
