"""Tests and conversions of types: IS_… and TO_…."""

from __future__ import annotations

import re

from proxy.aql.functions.calendar import timestamp
from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_bool, of_text, sql_form
from proxy.aql.printing import to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import Term
from proxy.aql.values import Value, double, to_number, truthy, type_name

_KEY = re.compile(r"[A-Za-z0-9_\-:.@()+,=;$!*'%]{1,254}")
_IPV4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")


def is_ipv4(value: Value) -> bool:
    """Return True for a dotted address without leading zeros."""
    return isinstance(value, str) and bool(_IPV4.fullmatch(value)) and all(int(p) < 256 for p in value.split("."))


@function("TYPENAME", arguments=1, linear=True)
def typename(_context: QueryContext, value: Value) -> Value:
    """Return the name of the type."""
    return type_name(value)


@function("IS_NULL", arguments=1, linear=True)
def is_null(_context: QueryContext, value: Value) -> Value:
    """IS_NULL(value)"""
    return value is None


@sql_form("IS_NULL")
def is_null_sql(call: SqlCall) -> Term:
    """Test for null."""
    return of_bool(call.forms.is_null(call.term(0)))


@function("IS_BOOL", arguments=1, linear=True)
def is_bool(_context: QueryContext, value: Value) -> Value:
    """IS_BOOL(value)"""
    return value.__class__ is bool


@function("IS_NUMBER", arguments=1, linear=True)
def is_a_number(_context: QueryContext, value: Value) -> Value:
    """IS_NUMBER(value)"""
    return is_number(value)


@function("IS_STRING", arguments=1, linear=True)
def is_string(_context: QueryContext, value: Value) -> Value:
    """IS_STRING(value)"""
    return value.__class__ is str


@function("IS_ARRAY", "IS_LIST", arguments=1, linear=True)
def is_array(_context: QueryContext, value: Value) -> Value:
    """IS_ARRAY(value)"""
    return value.__class__ is list


@function("IS_OBJECT", "IS_DOCUMENT", arguments=1, linear=True)
def is_object(_context: QueryContext, value: Value) -> Value:
    """IS_OBJECT(value)"""
    return value.__class__ is dict


_JSONB_TYPES = {
    "IS_BOOL": "boolean",
    "IS_NUMBER": "number",
    "IS_STRING": "string",
    "IS_ARRAY": "array",
    "IS_LIST": "array",
    "IS_OBJECT": "object",
    "IS_DOCUMENT": "object",
}


@sql_form(*_JSONB_TYPES)
def is_type_sql(call: SqlCall) -> Term:
    """Compare the type of the jsonb."""
    return of_bool(f"(jsonb_typeof({call.json(0)}) IS NOT DISTINCT FROM '{_JSONB_TYPES[call.name]}')")


@function("IS_DATESTRING", arguments=1)
def is_datestring(_context: QueryContext, value: Value) -> Value:
    """IS_DATESTRING(value): true for a text that the date functions accept"""
    return value.__class__ is str and timestamp(value) is not None


@function("IS_IPV4", arguments=1)
def is_ipv4_function(_context: QueryContext, value: Value) -> Value:
    """IS_IPV4(value)"""
    return is_ipv4(value)


@function("IS_KEY", arguments=1)
def is_key(_context: QueryContext, value: Value) -> Value:
    """IS_KEY(value): true for a valid document key"""
    return isinstance(value, str) and bool(_KEY.fullmatch(value))


@function("TO_NUMBER", arguments=1, linear=True)
def to_number_function(_context: QueryContext, value: Value) -> Value:
    """TO_NUMBER(value): a double, so that an integer beyond 2^53 loses its last digits"""
    number = to_number(value)
    return number if abs(number) <= 1 << 53 else double(float(number))


@function("TO_STRING", arguments=1, linear=True)
def to_string_function(_context: QueryContext, value: Value) -> Value:
    """TO_STRING(value)"""
    return to_string(value)


@sql_form("TO_STRING")
def to_string_sql(call: SqlCall) -> Term:
    """Take the text that string functions take."""
    return of_text(call.text(0))


@function("TO_BOOL", arguments=1, linear=True)
def to_bool(_context: QueryContext, value: Value) -> Value:
    """TO_BOOL(value)"""
    return truthy(value)


@sql_form("TO_BOOL")
def to_bool_sql(call: SqlCall) -> Term:
    """Take the truth of a condition."""
    return of_bool(call.condition(0))


@function("TO_ARRAY", "TO_LIST", arguments=1, linear=True)
def to_array(_context: QueryContext, value: Value) -> Value:
    """TO_ARRAY(value): null is [], an object its values, a scalar an array of itself"""
    if value is None:
        return []
    if value.__class__ is list:
        return value
    return list(value.values()) if value.__class__ is dict else [value]
