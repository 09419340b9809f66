"""AQL -> SQL over the document tables: a whole query as one statement, exact or not at all.

    cached          compile_query: the entry point
    outcomes        outcomes are kept with the query's tree
    plan            Compiled, NotCompiled, CompiledTables: the input and the output
    query           the top level, and the form of the statement that is compared
    compilation     Compilation: shared state, and the registries by node type
    scope, blocks   variables, scopes; SELECTs under construction
    loops, filters, sorting, collect, traversal_joins       statements -> blocks
    subqueries, subquery_rows       levels of statements inside expressions
    expressions, accesses, comparisons, arrays, calls, lookups      expressions -> terms
    output, output_columns      RETURN: the columns of the statement, and the expression over them
    result_builder  rows of the statement -> rows of the result
    effort          whether building the result takes time in proportion to the rows
    writes/         queries that write: compile_write

The rules of values are SQL functions in the schema `_crossfade`. Values for which they refuse while a statement runs
(SQLSTATE 22…), and queries that are not compiled, are left to the evaluator. Importing this package registers all that
compiles a type of node.

Terms: *block*: a SELECT under construction; *scope*: the variables that are visible, and the columns that hold them.
*Term*: an SQL expression with what is known of its value.
"""

from proxy.aql.compile.cached import compile_query
from proxy.aql.compile.plan import ComparedStatement, Compiled, CompiledTable, CompiledTables, Listing, NotCompiled
from proxy.aql.compile.result_builder import BuilderRun, Finish
from proxy.base.module_discovery import import_modules

__all__ = [
    "BuilderRun",
    "ComparedStatement",
    "Compiled",
    "CompiledTable",
    "CompiledTables",
    "Finish",
    "Listing",
    "NotCompiled",
    "compile_query",
]
import_modules(__name__)
