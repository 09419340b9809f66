"""Queries compiled to Python closures, which `proxy.aql.evaluate` runs.

Importing this package registers all that compiles a type of node.

compiler        ProgramCompiler: shared state, slots, the registries by node type
expressions     literals, accesses, operators, arrays, objects -> functions of a frame
calls           function calls; DOCUMENT and the other functions that read documents
levels          subqueries: levels of statements as expressions
stages          FILTER, LET, RETURN, variables and patterns
loops           FOR over a collection, a range or a value
sorting         SORT and LIMIT
collecting      COLLECT and WINDOW (windows: how far its bounds reach)
held_rows       rows that a statement must have all of (sorted_rows: in an order): in memory or on disk
modifications   INSERT, UPDATE, REPLACE, REMOVE, UPSERT
traversals      graph queries (graphs: edges and vertices; walks: traversals; paths: path searches)

Terms: *frame*: the values of a query's variables; *slot*: a variable's place in it. *Level*: a query or a subquery,
with its statements. *Stage*: one statement of a level, as a function from rows to rows.
"""

from proxy.aql.execution.compiler import ProgramCompiler
from proxy.base.module_discovery import import_modules

__all__ = ["ProgramCompiler"]
import_modules(__name__)
