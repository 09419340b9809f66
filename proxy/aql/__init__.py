"""ArangoDB's query language: parsed, analysed, evaluated (DESIGN section 8; semantics: reference/aql-semantics.md).

    text -> lexer -> tokens, expressions, modification_syntax,
           graph_syntax, parser -> ast (nodes)                   the tree; `printer` gives a text back
    ast -> check, analyse, shape                                 what can be known without running it
    ast -> closures, pipeline, collect, modify, traverse,
           program -> evaluate                                   runs it: yields Fetch and Write, returns Result
    values, collation, printing, operators, access, arrays       the semantics of values
    functions/                                                   one module a group; signatures: all names and arities
    scan_narrowing, primary_index_order                          the filters that narrow a fetch; order by `_key`
    full_count                                                   fullCount as a query of its own

Whatever can be parsed and not be run raises `Unsupported`, by name. Nothing here knows a store or does I/O.
"""

from proxy.aql.analyse import Analysis, analyse
from proxy.aql.ast import Query
from proxy.aql.collation import sort_key
from proxy.aql.evaluate import run
from proxy.aql.parser import parse
from proxy.aql.printer import print_query
from proxy.aql.printing import json_text
from proxy.aql.requests import Fetch, Options, QueryWarning, Result, Stats, Write, WriteOptions
from proxy.aql.shape import shape_of
from proxy.aql.values import compare, equal, order_key

__all__ = [
    "Analysis",
    "Fetch",
    "Options",
    "Query",
    "QueryWarning",
    "Result",
    "Stats",
    "Write",
    "WriteOptions",
    "analyse",
    "compare",
    "equal",
    "json_text",
    "order_key",
    "parse",
    "print_query",
    "run",
    "shape_of",
    "sort_key",
]
