"""AQL -> SQL over the document tables: a whole query as one statement, exact or not at all.

    plan           Compiled, NotCompiled, Tables, Table: the values that go in and out
    cached         compile_query: a query that was compiled before is not compiled again
    whole          the top level, and the form of it that is compared
    statements     FOR, FILTER, LET, SORT, LIMIT, DOCUMENT(): FROM items and conditions of a block
    rows           rows of a subquery as a FROM item
    hops           traversals as joins
    collect        COLLECT: groups, aggregates, INTO
    output         RETURN: which columns the statement gives, and the expression over them
    arrays         expansions, tests, ANY and ALL, sets
    dates          dates in conditions
    functions      functions in conditions and sort keys
    comparisons    ==, <, IN, LIKE, arithmetic, and the conditions that indexes serve
    expressions    variables, accesses, AND, OR, ?:
    forms          tables, names, forms of a term, constants
    scope, terms   blocks, variables, SQL terms, parameters
    finish         rows of the statement -> rows of the result

The rules of values are SQL functions: migration `aql`. What they refuse while a statement runs (SQLSTATE 22…) is
evaluated outside, as is all that is not compiled.
"""

from proxy.aql.compile.cached import compile_query
from proxy.aql.compile.finish import Finish, Run
from proxy.aql.compile.plan import Compared, Compiled, Listing, NotCompiled, Table, Tables

__all__ = ["Compared", "Compiled", "Finish", "Listing", "NotCompiled", "Run", "Table", "Tables", "compile_query"]
