"""Whether the documents that FILTER drops are all documents of the collection that are not written.

ArangoDB counts them (`filtered` of extra.stats), without those that an index makes unnecessary to read.
"""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation

_SERVED = frozenset({"_key", "_id", "_from", "_to"})  # attributes with an index that ArangoDB always has


def drops_the_others(c: Compilation, query: ast.Query, before: tuple[ast.Statement, ...], collection: str) -> bool:
    """Return True if the query goes through a collection, and FILTER drops what it does not write, without an index.

    before: the statements that choose the rows. collection: that which the query writes, each document once.
    """
    if not before or not all(isinstance(node, (ast.For, ast.Filter, ast.Let, ast.Sort)) for node in before):
        return False
    loops = [below for below in ast.walk(query) if isinstance(below, (ast.For, ast.Traversal, ast.Paths))]
    filters = [below for below in ast.walk(query) if isinstance(below, ast.Filter)]
    loop = before[0]
    if not isinstance(loop, ast.For) or loops != [loop] or c.collection_name(loop.source) != collection:
        return False
    if not filters or not all(any(node is one for one in before) for node in filters):
        return False
    served = _SERVED | c.table(collection).indexed
    for node in before[1:]:
        for below in ast.walk(node):
            if isinstance(below, ast.BoundAttribute) or (isinstance(below, ast.Attribute) and below.name in served):
                return False
    return _depend(before)


def _depend(before: tuple[ast.Statement, ...]) -> bool:
    """Return True if each FILTER depends on the document: ArangoDB tests any other before the loop."""
    known: set[ast.Pattern] = set()
    for node in before:
        named = {below.name for below in ast.walk(node) if isinstance(below, ast.Variable)}
        if isinstance(node, ast.For):
            known.add(node.variable)
        elif isinstance(node, ast.Let) and not named.isdisjoint(known):
            known.add(node.target)
        elif isinstance(node, ast.Filter) and named.isdisjoint(known):
            return False
    return True
