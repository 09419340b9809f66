"""JSON Schema as ArangoDB applies it: draft 4, by the library jsonschema-rs, which this module alone imports.

ArangoDB's validator (`contrib/schema.hpp` of taoJSON) deviates from draft 4. Its deviations are the rules here:

- the length of a string is in bytes of UTF-8,
- `multipleOf` of doubles is correct to the machine's epsilon,
- six formats are validated, by grammars that are partly simpler than those of the standards; the others are ignored,
- `$ref` finds places of the same rule only: another `$ref` is ignored, as are `id` and `$schema`,
- `additionalItems` holds for every element of an array if the rule has no `items`,
- `enum` and `type` may be empty arrays, which nothing satisfies.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

import orjson
from jsonschema_rs import Draft4Validator

Rule = dict[str, Any]
_CACHED: Final = 1000  # rules
_IGNORED: Final = ("id", "$schema")
# keywords by what they contain: rules by name, lists of rules, one rule
_NAMED: Final = ("properties", "patternProperties", "definitions", "dependencies")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")
_ONE: Final = ("not", "additionalProperties", "additionalItems", "items")
_NOTHING: Final[Rule] = {"not": {}}

_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_HOST: Final = r"[a-zA-Z0-9][a-zA-Z0-9-]{0,62}(\.[a-zA-Z0-9][a-zA-Z0-9-]{0,62})*"
_HOSTNAME: Final = re.compile(_HOST)
_LOCAL: Final = r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]+"
_EMAIL: Final = re.compile(rf"{_LOCAL}(\.{_LOCAL})*@{_HOST}")
_LONGEST: Final = 255  # bytes of an e-mail address or a host's name


def valid(rule: Rule, value: Any) -> bool:
    """Return True if a value satisfies a rule in which `mistake` found none."""
    return _validator(orjson.dumps(rule)).is_valid(value)


def mistake(rule: Rule) -> str | None:
    """Return why a rule cannot be applied; None if it can."""
    try:
        _validator(orjson.dumps(rule))
    except ValueError as error:
        return str(error).partition("\n")[0]
    return None


@lru_cache(_CACHED)
def _validator(rule: bytes) -> Draft4Validator:
    """Return the compiled rule. Raise ValueError if it cannot be applied."""
    parsed = orjson.loads(rule)
    if parsed.get("$ref") == "#":
        raise ValueError("JSON Reference: invalid self reference")
    return Draft4Validator(
        _as_draft_4(parsed),
        formats=dict(_FORMATS),
        validate_formats=True,
        keywords={"minLength": _MinLength, "maxLength": _MaxLength, "multipleOf": _MultipleOf},
        offline=True,
    )


def _as_draft_4(rule: Any) -> Any:
    """Return a rule that means in draft 4 what the given one means to ArangoDB. What is no rule stays as it is."""
    if not isinstance(rule, dict):
        return rule
    reference = rule.get("$ref")
    ignored = _IGNORED if isinstance(reference, str) and reference.startswith("#") else (*_IGNORED, "$ref")
    found = {name: _part(name, part) for name, part in rule.items() if name not in ignored}
    if isinstance(found.get("format"), str) and found["format"] not in (*_FORMATS, *_STANDARD_FORMATS):
        del found["format"]
    if found.get("type") == [] or found.get("enum") == []:
        return _NOTHING
    if found.get("items", []) == []:
        return _with_additional_items(found)
    return found


def _part(name: str, part: Any) -> Any:
    if name in _NAMED and isinstance(part, dict):
        return {key: _as_draft_4(one) for key, one in part.items()}
    if (name in _SEVERAL or name == "items") and isinstance(part, list):
        return [_as_draft_4(one) for one in part]
    return _as_draft_4(part) if name in _ONE else part


def _with_additional_items(rule: Rule) -> Rule:
    """Return a rule without `items`, or with no element in it, which all elements of an array must satisfy."""
    others = rule.get("additionalItems")
    empty = rule.pop("items", None) == []
    if isinstance(others, dict):
        return {**rule, "items": others}
    if others is False and empty:
        return {**rule, "items": _NOTHING}
    return rule


# ---- keywords


class _MinLength:
    """The smallest length of a string, in bytes of UTF-8."""

    def __init__(self, _rule: Mapping[str, Any], limit: int, _path: list[str | int]) -> None:
        self._limit = limit

    def validate(self, instance: Any) -> None:
        """Raise ValueError if the value is a shorter string."""
        if isinstance(instance, str) and _bytes_of(instance) < self._limit:
            raise ValueError("a longer string is needed")


class _MaxLength:
    """The largest length of a string, in bytes of UTF-8."""

    def __init__(self, _rule: Mapping[str, Any], limit: int, _path: list[str | int]) -> None:
        self._limit = limit

    def validate(self, instance: Any) -> None:
        """Raise ValueError if the value is a longer string."""
        if isinstance(instance, str) and _bytes_of(instance) > self._limit:
            raise ValueError("a shorter string is needed")


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class _MultipleOf:
    """A divisor of numbers: exact for integers, else to the machine's epsilon."""

    def __init__(self, _rule: Mapping[str, Any], divisor: float, _path: list[str | int]) -> None:
        self._divisor = divisor

    def validate(self, instance: Any) -> None:
        """Raise ValueError if the value is a number that is not a multiple."""
        if not isinstance(instance, int | float) or isinstance(instance, bool):
            return
        if isinstance(instance, int) and isinstance(self._divisor, int):
            multiple = instance % self._divisor == 0
        else:
            rest = math.fmod(instance, self._divisor)
            multiple = min(abs(rest), abs(rest - self._divisor)) < sys.float_info.epsilon
        if not multiple:
            raise ValueError("a multiple is needed")


# ---- formats


def _is_date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return False
    try:  # a year 0 has the days of a leap year
        date.fromisoformat(found[1].replace("0000", "0400", 1) if found[1].startswith("0000") else found[1])
    except ValueError:
        return False
    return True


def _is_hostname(text: str) -> bool:
    return _bytes_of(text) <= _LONGEST and _HOSTNAME.fullmatch(text) is not None


def _is_email(text: str) -> bool:
    return _bytes_of(text) <= _LONGEST and _EMAIL.fullmatch(text) is not None


_FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date-time": _is_date_time,
    "email": _is_email,
    "hostname": _is_hostname,
}
_STANDARD_FORMATS: Final = ("ipv4", "ipv6", "uri")  # by the library
