"""Text -> Query.

Raises ArangoError 1501 (syntax), 1502 (empty), 1511 (variable assigned twice), 1512 (unknown variable), 1524 (too
deep). The names of functions and the numbers of their arguments are checked by `check`, bind variables by `analyse`.
"""

from __future__ import annotations

from functools import lru_cache

from proxy.aql import ast
from proxy.aql.grammar import Parser
from proxy.aql.grammar.clauses import collection_name
from proxy.aql.grammar.queries import statements
from proxy.base.errors import ArangoError


@lru_cache(maxsize=2048)
def parse(text: str) -> ast.Query:
    """Parse a query; the same text gives the same tree while it is in the cache."""
    try:
        return _query(Parser(text))
    except RecursionError:
        raise ArangoError(1524, "too much nesting or too many objects in query", status=400) from None


def _query(p: Parser) -> ast.Query:
    if not p.text:
        raise ArangoError(1502)
    collections: list[ast.Collection | ast.Parameter] = []
    if p.accept("WITH"):
        collections.append(collection_name(p))
        while p.kind in ("id", "bind", "source", ","):
            p.accept(",")
            collections.append(collection_name(p))
    found = statements(p)
    if p.kind != "end":
        p.unexpected("end")
    return ast.Query(tuple(collections), found, p.text, warnings=tuple(p.warnings))
