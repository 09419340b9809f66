"""Texts that encode other values: JSON, URI components, IPv4 addresses."""

from __future__ import annotations

import json
import math
from urllib.parse import quote

from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.type_checks import is_ipv4
from proxy.aql.printing import json_text, to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, double


@function("JSON_STRINGIFY", arguments=1)
def json_stringify(_context: QueryContext, value: Value) -> Value:
    """JSON_STRINGIFY(value)"""
    return json_text(value)


def _refuse_constant(name: str) -> Value:
    raise ValueError(name)


def _json_integer(text: str) -> Value:
    number = int(text) if len(text) < 32 else None
    return number if number is not None and -(1 << 63) <= number < 1 << 64 else _json_double(text)


def _json_double(text: str) -> Value:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return double(number)


@function("JSON_PARSE", arguments=1)
def json_parse(context: QueryContext, value: Value) -> Value:
    """JSON_PARSE(text): null and a warning for a text that is not JSON"""
    if value.__class__ is not str:
        context.warn_invalid_argument("JSON_PARSE")
        return None
    try:
        return json.loads(value, parse_constant=_refuse_constant, parse_int=_json_integer, parse_float=_json_double)
    except (ValueError, RecursionError):
        context.warn_invalid_argument("JSON_PARSE")
        return None


@function("ENCODE_URI_COMPONENT", arguments=1)
def encode_uri_component(_context: QueryContext, value: Value) -> Value:
    """ENCODE_URI_COMPONENT(text)"""
    return quote(to_string(value), safe="-_.!~*'()", errors="replace")


@function("IPV4_TO_NUMBER", arguments=1)
def ipv4_to_number(context: QueryContext, value: Value) -> Value:
    """IPV4_TO_NUMBER("1.2.3.4")"""
    if not is_ipv4(value):
        context.warn_invalid_argument("IPV4_TO_NUMBER")
        return None
    number = 0
    for part in str(value).split("."):
        number = number << 8 | int(part)
    return number


@function("IPV4_FROM_NUMBER", arguments=1)
def ipv4_from_number(context: QueryContext, value: Value) -> Value:
    """IPV4_FROM_NUMBER(16909060)"""
    number = int(value) if is_number(value) else -1
    if not 0 <= number < 1 << 32:
        context.warn_invalid_argument("IPV4_FROM_NUMBER")
        return None
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
