"""ArangoDB's query language: parsed, analysed, evaluated, compiled to SQL. Pure: no module here does I/O.

    text -> lexer -> grammar/ -> parser -> ast (nodes)      the tree; printer: its text again; trees: questions
    ast -> check, analyse, named, choices, shape            what is known without running the query
    ast -> execution/ -> evaluate                           runs it: yields Fetch and Write (requests), returns Result
    ast -> compile/                                         one SQL statement, and how its rows become the result
    functions/, aggregates                                  each function with its arguments, facts and SQL form
    signatures                                              sets of functions by their facts
    values, collation, printing, operators, access, arrays  the semantics of values
    query_context, compiled_types                           one run of a query; what expressions compile to
    sql_terms, sql_forms                                    values as SQL
    registration                                            the decorator that registers functions
    scan_narrowing, primary_index_order, full_count, returning_keys     rules for single kinds of query

Terms: a *level* is the sequence of statements of a query or subquery. A *frame* is a list with the values of all
variables. A *stage* turns frames into frames. A *term* is an expression as SQL. A *block* is one SELECT under
construction. The *shape* of a query is its text without literals (its fingerprint). A *choice* is a point at which the
data does not determine the result. A feature that is parsed and not implemented raises `Unsupported`, by name.

In each of grammar/, execution/ and compile/ a context object (`Parser`, `ProgramCompiler`, `Compilation`) is the first
argument of plain functions that are registered by what they handle: a keyword, a type of token, or a type of node.
"""

from proxy.aql.analyse import Analysis, analyse
from proxy.aql.ast import Query
from proxy.aql.collation import sort_key
from proxy.aql.evaluate import run
from proxy.aql.parser import parse
from proxy.aql.printer import print_query
from proxy.aql.printing import json_text
from proxy.aql.requests import Fetch, QueryOptions, QueryWarning, Result, Stats, Write, WriteOptions
from proxy.aql.shape import shape_of
from proxy.aql.values import compare, equal, order_key

__all__ = [
    "Analysis",
    "Fetch",
    "Query",
    "QueryOptions",
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
