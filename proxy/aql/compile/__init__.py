"""AQL -> SQL over the document tables: a whole query as one statement, exact or not at all.

    plan           Compiled, NotCompiled, Tables, Table: the values that go in and out
    cached         compile_query: a query that was compiled before is not compiled again
    query          the top level, and the form of it that is compared
    statements     FOR, FILTER, LET, SORT, LIMIT, DOCUMENT(): FROM items and conditions of a block
    subquery_rows  rows of a subquery as a FROM item
    traversal_joins traversals as joins
    collect        COLLECT: groups, aggregates, INTO
    output         RETURN: which columns the statement gives, and the expression over them
    arrays         expansions, tests, ANY and ALL, sets
    dates          dates in conditions
    functions      functions in conditions and sort keys
    comparisons    ==, <, IN, LIKE, arithmetic, and the conditions that indexes serve
    expressions    variables, accesses, AND, OR, ?:
    base           tables, names, forms of a term, constants
    scope, sql_terms blocks, variables, SQL terms, parameters
    result_builder rows of the statement -> rows of the result

The rules of values are SQL functions: migration `aql`. What they refuse while a statement runs (SQLSTATE 22…) is
evaluated outside, as is all that is not compiled.
"""

from proxy.aql.compile.cached import compile_query
from proxy.aql.compile.plan import Compared, Compiled, Listing, NotCompiled, Table, Tables
from proxy.aql.compile.result_builder import Finish, Run

__all__ = ["Compared", "Compiled", "Finish", "Listing", "NotCompiled", "Run", "Table", "Tables", "compile_query"]
