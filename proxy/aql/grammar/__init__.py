"""The grammar of ArangoDB 3.12 (grammar.y) with its scopes of variables: tokens -> tree.

cursor          Parser: tokens, scopes, errors, the registries by keyword and kind of token
queries         sequences of statements, subqueries
statements      LET, FILTER, SORT, LIMIT, RETURN
loops           FOR, traversals, path searches
collecting      COLLECT, WINDOW
modifications   INSERT, UPDATE, REPLACE, REMOVE, UPSERT
clauses         OPTIONS, collections, assignments, aggregates
patterns        variables and destructuring
expressions     operators and their precedence
operands        literals, references, calls, arrays, objects
accesses        attributes, elements, [*], [?]

Terms: *token*: a word, a sign or a literal; *scope*: the variables that a statement may use; *operand*: what an
operator is applied to.
"""

from proxy.aql.grammar.cursor import Parser
from proxy.base.module_discovery import import_modules

__all__ = ["Parser"]
import_modules(__name__)
