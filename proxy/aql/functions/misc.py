"""The rest: choosing among values, control of the run, facts of the database."""

from __future__ import annotations

from proxy.aql.context import Context
from proxy.aql.functions.registry import REGISTRY, function
from proxy.aql.printing import to_string
from proxy.aql.signatures import FETCHING, FUNCTIONS
from proxy.aql.values import Value, less, truthy
from proxy.errors import ArangoError, Unsupported
from proxy.revision import decode_rev

SERVER_VERSION = "3.12.4"


@function("NOT_NULL")
def not_null(context: Context, *values: Value) -> Value:
    """NOT_NULL(a, b, …): the first that is not null"""
    return next((value for value in values if value is not None), None)


@function("FIRST_LIST")
def first_list(context: Context, *values: Value) -> Value:
    """FIRST_LIST(a, b, …): the first array"""
    return next((value for value in values if value.__class__ is list), None)


@function("FIRST_DOCUMENT")
def first_document(context: Context, *values: Value) -> Value:
    """FIRST_DOCUMENT(a, b, …): the first object"""
    return next((value for value in values if value.__class__ is dict), None)


@function("NOOPT", "NOEVAL", "PASSTHRU")
def same(context: Context, value: Value) -> Value:
    """The value itself."""
    return value


@function("IN_RANGE")
def in_range(context: Context, value: Value, low: Value, high: Value, with_low: Value, with_high: Value) -> Value:
    """IN_RANGE(value, low, high, includeLow, includeHigh)"""
    above = less(low, value) or (truthy(with_low) and not less(value, low))
    below = less(value, high) or (truthy(with_high) and not less(high, value))
    return above and below


@function("ASSERT")
def assert_true(context: Context, condition: Value, message: Value) -> Value:
    """ASSERT(condition, message): true, or the query fails with error 1593"""
    if truthy(condition):
        return True
    raise ArangoError(1593, f"AQL: {to_string(message)} (while executing)", status=400)


@function("WARN")
def warn(context: Context, condition: Value, message: Value) -> Value:
    """WARN(condition, message): whether it holds; warning 1594 where it does not"""
    if truthy(condition):
        return True
    context.warn(1594, to_string(message))
    return False


@function("FAIL")
def fail(context: Context, message: Value = "") -> Value:
    """FAIL(reason): the query fails"""
    raise ArangoError(1569, f"AQL: {to_string(message)} (while executing)", status=400)


@function("SLEEP")
def sleep(context: Context, seconds: Value) -> Value:
    """SLEEP(seconds): no store is made to wait."""
    raise Unsupported("function SLEEP")


@function("CURRENT_USER")
def current_user(context: Context) -> Value:
    """CURRENT_USER()"""
    return context.options.user


@function("CURRENT_DATABASE")
def current_database(context: Context) -> Value:
    """CURRENT_DATABASE()"""
    return context.options.database


@function("VERSION")
def version(context: Context) -> Value:
    """VERSION(): of the server that is spoken for"""
    return SERVER_VERSION


@function("CHECK_DOCUMENT")
def check_document(context: Context, value: Value) -> Value:
    """CHECK_DOCUMENT(object): whether it has no attribute twice, which no value here can have"""
    return value.__class__ is dict


@function("DECODE_REV")
def decode_revision(context: Context, value: Value) -> Value:
    """DECODE_REV(revision): its time and its counter"""
    try:
        number = decode_rev(value) if value.__class__ is str else None
    except ValueError:
        number = None
    if number is None:
        context.invalid("DECODE_REV")
        return None
    from proxy.aql.functions.moments import iso_text

    milliseconds = number >> 20
    return {"date": iso_text(milliseconds), "timestamp": milliseconds, "count": number & 0xFFFFF}


def _call(context: Context, name: Value, arguments: list[Value]) -> Value:
    called = to_string(name).upper()
    signature = FUNCTIONS.get(called)
    if signature is None:
        raise ArangoError(1540, f"AQL: usage of unknown function '{called}()' (while executing)", status=400)
    if called in FETCHING or called not in REGISTRY or called in ("CALL", "APPLY"):
        raise Unsupported(f"function {called} through CALL or APPLY")
    if len(arguments) < signature.least or (signature.most is not None and len(arguments) > signature.most):
        raise ArangoError(1541, f"AQL: invalid number of arguments for function '{called}()'", status=400)
    return REGISTRY[called](context, *arguments)


@function("CALL")
def call(context: Context, name: Value, *arguments: Value) -> Value:
    """CALL(name, a, b, …)"""
    return _call(context, name, list(arguments))


@function("APPLY")
def apply(context: Context, name: Value, arguments: Value = None) -> Value:
    """APPLY(name, arguments)"""
    return _call(context, name, arguments if arguments.__class__ is list else [])
