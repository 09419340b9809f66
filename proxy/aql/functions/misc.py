"""Choosing among values, control of the run, facts of the database."""

from __future__ import annotations

from proxy.aql.functions.calendar import iso_text
from proxy.aql.functions.registry import REGISTRY, function, is_number
from proxy.aql.functions.sql_calls import SqlCall, sql_form
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import AnyTerm, Term
from proxy.aql.values import Value, less, truthy
from proxy.base.errors import ArangoError, Unsupported
from proxy.model.revision import decode_rev

SERVER_VERSION = "3.12.10"


@function("NOT_NULL", arguments=(1, None), linear=True)
def not_null(_context: QueryContext, *values: Value) -> Value:
    """NOT_NULL(a, b, …): the first that is not null"""
    return next((value for value in values if value is not None), None)


@sql_form("NOT_NULL")
def not_null_sql(call: SqlCall) -> Term:
    """Take the first argument that is neither SQL NULL nor JSON null."""
    parts = ", ".join(f"nullif({call.json(position)}, 'null')" for position in range(call.count))
    return Term(f"coalesce({parts})")


@function("FIRST_LIST", arguments=(1, None))
def first_list(_context: QueryContext, *values: Value) -> Value:
    """FIRST_LIST(a, b, …): the first array"""
    return next((value for value in values if value.__class__ is list), None)


@function("FIRST_DOCUMENT", arguments=(1, None))
def first_document(_context: QueryContext, *values: Value) -> Value:
    """FIRST_DOCUMENT(a, b, …): the first object"""
    return next((value for value in values if value.__class__ is dict), None)


@function("NOOPT", "NOEVAL", "PASSTHRU", arguments=1, per_row=True)
def same(_context: QueryContext, value: Value) -> Value:
    """Return the value itself."""
    return value


@sql_form("NOOPT", "NOEVAL", "PASSTHRU")
def same_sql(call: SqlCall) -> AnyTerm:
    """Take the argument itself."""
    return call.term(0)


@function("IN_RANGE", arguments=5)
def in_range(context: QueryContext, value: Value, low: Value, high: Value, with_low: Value, with_high: Value) -> Value:
    """IN_RANGE(value, low, high, includeLow, includeHigh)"""
    if with_low.__class__ is not bool or with_high.__class__ is not bool:
        context.warn_invalid_argument("IN_RANGE")
        return None
    above = less(low, value) or (with_low and not less(value, low))
    below = less(value, high) or (with_high and not less(high, value))
    return above and below


@function("ASSERT", arguments=2, per_row=True, effect=True)
def assert_true(context: QueryContext, condition: Value, message: Value) -> Value:
    """ASSERT(condition, message): true, or the query fails with error 1593"""
    if message.__class__ is not str:
        context.warn_invalid_argument("ASSERT")
        return None
    if truthy(condition):
        return True
    raise ArangoError(1593, f"AQL: {message} (while executing)")


@function("WARN", arguments=2, per_row=True, effect=True)
def warn(context: QueryContext, condition: Value, message: Value) -> Value:
    """WARN(condition, message): true, or false with warning 1594"""
    if message.__class__ is not str:
        context.warn_invalid_argument("WARN")
        return None
    if truthy(condition):
        return True
    context.warn(1594, message)
    return False


@function("FAIL", arguments=(0, 1), random=True, effect=True)
def fail(_context: QueryContext, message: Value = "") -> Value:
    """FAIL(reason): the query fails"""
    reason = message if message.__class__ is str and message else "FAIL() called"
    raise ArangoError(1569, f"AQL: {reason} (while executing)")


@function("SLEEP", arguments=1, random=True, effect=True)
def sleep(context: QueryContext, seconds: Value) -> Value:
    """SLEEP(seconds): null, after that time, if the store allows a query to wait"""
    if not is_number(seconds) or seconds < 0:
        context.warn_invalid_argument("SLEEP")
    elif context.options.pause is None:
        raise Unsupported("function SLEEP")
    else:
        context.options.pause(float(seconds))
    return None


@function("CURRENT_USER", arguments=0, random=True)
def current_user(context: QueryContext) -> Value:
    """CURRENT_USER()"""
    return context.options.user


@function("CURRENT_DATABASE", arguments=0, per_row=True, session=True)
def current_database(context: QueryContext) -> Value:
    """CURRENT_DATABASE()"""
    return context.options.database


@function("VERSION", arguments=0, per_row=True)
def version(_context: QueryContext) -> Value:
    """VERSION(): of the ArangoDB server that is emulated"""
    return SERVER_VERSION


@function("CHECK_DOCUMENT", arguments=1)
def check_document(_context: QueryContext, value: Value) -> Value:
    """CHECK_DOCUMENT(object): true for every object, because no value here can have an attribute twice"""
    return value.__class__ is dict


@function("DECODE_REV", arguments=1)
def decode_revision(context: QueryContext, value: Value) -> Value:
    """DECODE_REV(revision): its time and its counter"""
    try:
        number = decode_rev(value) if value.__class__ is str else 0
    except ValueError:
        number = 0
    if number in (0, (1 << 64) - 1):
        context.warn_invalid_argument("DECODE_REV")
        return None
    return {"date": iso_text(number >> 20), "count": number & 0xFFFFF}


def _call(context: QueryContext, by: str, name: Value, arguments: list[Value]) -> Value:
    if name.__class__ is not str:
        raise context.argument_error(by)
    called = name.upper()
    if "::" in called and not context.options.no_user_functions:
        raise Unsupported(f"user function {called}")
    if "::" in called:
        raise ArangoError(1582, f"AQL: user function '{called}()' not found (while executing)")
    found = REGISTRY.get(called)
    if found is None:
        raise ArangoError(1540, f"AQL: usage of unknown function '{called}()' (while executing)")
    if found.implementation is None:
        raise Unsupported(f"function {called} through CALL or APPLY")
    if len(arguments) < found.least or (found.most is not None and len(arguments) > found.most):
        raise ArangoError(1541, f"AQL: invalid number of arguments for function '{called}()' (while executing)")
    return found.implementation(context, *arguments)


@function("CALL", arguments=(1, None), per_row=True, effect=True)
def call(context: QueryContext, name: Value, *arguments: Value) -> Value:
    """CALL(name, a, b, …)"""
    return _call(context, "CALL", name, list(arguments))


@function("APPLY", arguments=(1, 2), per_row=True, effect=True)
def apply(context: QueryContext, name: Value, *arguments: Value) -> Value:
    """APPLY(name, arguments)"""
    if name.__class__ is str and arguments and arguments[0].__class__ is not list:
        context.warn_invalid_argument("APPLY")
        return None
    return _call(context, "APPLY", name, arguments[0] if arguments else [])
