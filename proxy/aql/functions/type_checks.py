"""IS_… and TO_…"""

from __future__ import annotations

import re

from proxy.aql.functions.calendar import timestamp
from proxy.aql.functions.registry import function, is_number
from proxy.aql.printing import to_string
from proxy.aql.query_context import Context
from proxy.aql.values import Value, double, to_number, truthy, type_name

_KEY = re.compile(r"[A-Za-z0-9_\-:.@()+,=;$!*'%]{1,254}")
_IPV4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")


def is_ipv4(value: Value) -> bool:
    """Whether it is a dotted address without leading zeros."""
    return isinstance(value, str) and bool(_IPV4.fullmatch(value)) and all(int(p) < 256 for p in value.split("."))


@function("TYPENAME")
def typename(context: Context, value: Value) -> Value:
    """The name of the type."""
    return type_name(value)


@function("IS_NULL")
def is_null(context: Context, value: Value) -> Value:
    """IS_NULL(value)"""
    return value is None


@function("IS_BOOL")
def is_bool(context: Context, value: Value) -> Value:
    """IS_BOOL(value)"""
    return value.__class__ is bool


@function("IS_NUMBER")
def is_a_number(context: Context, value: Value) -> Value:
    """IS_NUMBER(value)"""
    return is_number(value)


@function("IS_STRING")
def is_string(context: Context, value: Value) -> Value:
    """IS_STRING(value)"""
    return value.__class__ is str


@function("IS_ARRAY", "IS_LIST")
def is_array(context: Context, value: Value) -> Value:
    """IS_ARRAY(value)"""
    return value.__class__ is list


@function("IS_OBJECT", "IS_DOCUMENT")
def is_object(context: Context, value: Value) -> Value:
    """IS_OBJECT(value)"""
    return value.__class__ is dict


@function("IS_DATESTRING")
def is_datestring(context: Context, value: Value) -> Value:
    """IS_DATESTRING(value): a text that the date functions take"""
    return value.__class__ is str and timestamp(value) is not None


@function("IS_IPV4")
def is_ipv4_function(context: Context, value: Value) -> Value:
    """IS_IPV4(value)"""
    return is_ipv4(value)


@function("IS_KEY")
def is_key(context: Context, value: Value) -> Value:
    """IS_KEY(value): whether it may be a document's key"""
    return isinstance(value, str) and bool(_KEY.fullmatch(value))


@function("TO_NUMBER")
def to_number_function(context: Context, value: Value) -> Value:
    """TO_NUMBER(value): a double, so that an integer beyond 2^53 loses its last digits"""
    number = to_number(value)
    return number if abs(number) <= 1 << 53 else double(float(number))


@function("TO_STRING")
def to_string_function(context: Context, value: Value) -> Value:
    """TO_STRING(value)"""
    return to_string(value)


@function("TO_BOOL")
def to_bool(context: Context, value: Value) -> Value:
    """TO_BOOL(value)"""
    return truthy(value)


@function("TO_ARRAY", "TO_LIST")
def to_array(context: Context, value: Value) -> Value:
    """TO_ARRAY(value): null is [], an object its values, a scalar an array of itself"""
    if value is None:
        return []
    if value.__class__ is list:
        return value
    return list(value.values()) if value.__class__ is dict else [value]
