"""Function calls as closures, and the functions that read documents, as stepwise ones."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise
from proxy.aql.execution.compiler import ProgramCompiler, expression_of
from proxy.aql.functions import find
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import StoreRequest
from proxy.aql.signatures import FETCHING, TAKES_COLLECTION, UNFOLDED, UNSUPPORTED
from proxy.aql.trees import is_collection
from proxy.aql.values import Value
from proxy.base.errors import ArangoError, Unsupported

Fetching: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, Value]]
_NOT_FOUND: Final = 1203  # a collection that does not exist: DOCUMENT gives null


@expression_of(ast.Call)
def call(c: ProgramCompiler, node: ast.Call) -> Compiled:
    """Compile a function call; one of constants is computed now, unless the function is called for each row."""
    name = node.name
    if "::" in name and c.context.options.no_user_functions:
        raise ArangoError(1582, f"AQL: user function '{name}()' not found (while parsing)")
    if "::" in name:
        raise Unsupported(f"user function {name}")
    if name in UNSUPPORTED:
        raise Unsupported(f"function {name}")
    if name in ("LENGTH", "COUNT") and is_collection(node.arguments[0]):
        name = "COLLECTION_COUNT"
    if name in TAKES_COLLECTION:
        arguments = [_collection_or_value(c, argument) for argument in node.arguments]
    else:
        arguments = [c.operand(argument) for argument in node.arguments]
    if name in FETCHING:
        return Stepwise(_fetching(c.context, name, arguments))
    return _applied(c.context, name, arguments)


def _applied(context: QueryContext, name: str, arguments: list[Plain]) -> Plain:
    function = find(name)
    if name not in UNFOLDED and all(isinstance(argument, Constant) for argument in arguments):
        return Constant(function(context, *[argument([]) for argument in arguments]))
    if len(arguments) == 1:
        only = arguments[0]
        return lambda frame: function(context, only(frame))
    if len(arguments) == 2:
        first, second = arguments
        return lambda frame: function(context, first(frame), second(frame))
    return lambda frame: function(context, *[argument(frame) for argument in arguments])


def _collection_or_value(c: ProgramCompiler, node: ast.Expr) -> Plain:
    """Compile an argument that may be a collection: then its name is the value."""
    if isinstance(node, ast.Collection):
        return Constant(node.name)
    if isinstance(node, ast.Parameter) and node.source:
        return Constant(source_name(c.context.binds, node.name))
    return c.operand(node)


# --- functions that read documents


def _fetching(context: QueryContext, name: str, arguments: list[Plain]) -> Fetching:
    compiler = _FETCHING.get(name)
    if compiler is None:
        raise Unsupported(f"function {name}")
    return compiler(context, arguments)


def _collection_count(context: QueryContext, arguments: list[Plain]) -> Fetching:
    collection = arguments[0]

    def count(frame: Frame) -> Generator[StoreRequest, None, Value]:
        return (yield from context.count(str(collection(frame))))

    return count


def _shard_id(context: QueryContext, arguments: list[Plain]) -> Fetching:
    def shard(frame: Frame) -> Generator[StoreRequest, None, Value]:
        collection, keys = arguments[0](frame), arguments[1](frame)
        if collection.__class__ is not str or keys.__class__ is not dict:
            which, kind = ("second", "an object") if collection.__class__ is str else ("first", "a string")
            raise ArangoError(10, f"AQL: {which} parameter to SHARD_ID must be {kind} (while executing)")
        yield from context.count(str(collection))  # which must exist
        return collection

    return shard


def _document(context: QueryContext, arguments: list[Plain]) -> Fetching:
    def document(frame: Frame) -> Generator[StoreRequest, None, Value]:
        collection = arguments[0](frame) if len(arguments) == 2 else None
        wanted = arguments[-1](frame)
        if len(arguments) == 2 and collection.__class__ is not str:
            context.warn_invalid_argument("DOCUMENT")
            return None
        if wanted.__class__ is list:
            found = []
            for one in wanted:
                value = yield from _one_document(context, collection, one)
                if value is not None:
                    found.append(value)
            return found
        return (yield from _one_document(context, collection, wanted))

    return document


def _one_document(context: QueryContext, collection: Value, wanted: Value) -> Generator[StoreRequest, None, Value]:
    """Fetch one document by key or id; null if it or its collection does not exist."""
    if wanted.__class__ is not str or (collection is not None and collection.__class__ is not str):
        return None
    name, slash, key = str(wanted).partition("/")
    if not slash:
        name, key = str(collection or ""), wanted
    elif collection is not None and name != collection:
        return None
    if not name or not key:
        return None
    try:
        return (yield from context.document(name, key))
    except ArangoError as error:
        if error.number != _NOT_FOUND:
            raise
        return None


_FETCHING: Final[dict[str, Callable[[QueryContext, list[Plain]], Fetching]]] = {
    "COLLECTION_COUNT": _collection_count,
    "SHARD_ID": _shard_id,
    "DOCUMENT": _document,
}
