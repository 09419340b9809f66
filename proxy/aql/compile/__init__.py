"""AQL -> SQL over the document tables: a whole query as one statement, exact or not at all.

plan        Compiled, NotCompiled, Tables, Table: the values that go in and out
finish      rows of the statement -> rows of the result
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.aql import ast
from proxy.aql.compile.plan import Compiled, NotCompiled, Table, Tables

__all__ = ["Compiled", "NotCompiled", "Table", "Tables", "compile_query"]


def compile_query(query: ast.Query, bind_vars: Mapping[str, Any] | None, catalog: Tables) -> Compiled | NotCompiled:
    """The query as one statement, or why not. Never raises for a query that `analyse` accepts."""
    return NotCompiled("nothing is compiled yet")
