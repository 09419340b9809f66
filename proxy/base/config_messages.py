"""Messages about wrong settings: the name of the variable and what it must be, never its value. Pure."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

_FIELD: Final = re.compile(r'field "(\w+)"')  # in the messages of pydantic-settings, which name a field only there


def json_shape(field: FieldInfo) -> str:
    """Return `array` or `object` if the variable holds JSON, else an empty string."""
    kind = typing.get_origin(field.annotation)
    return "array" if kind is list else "object" if kind is dict else ""


def wrong_settings(error: ValidationError) -> list[str]:
    """Return a line for each setting with a wrong value."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = "__".join(str(part) for part in item["loc"])
        lines.append(
            f"set CROSSFADE_{name.upper()} (or {name} in the file): {item['msg'].removeprefix('Value error, ')}"
        )
    return lines


def not_json(error: SettingsError, fields: Mapping[str, FieldInfo]) -> str:
    """Return which variable must hold JSON, and in which form. fields: of the settings, by name."""
    found = _FIELD.search(str(error))
    field = fields.get(found[1]) if found else None
    if found is None or field is None:
        return "a setting that must hold JSON does not: docs/settings.md has the form of each"
    example = next(iter(field.examples or ()), "")
    return f"set CROSSFADE_{found[1].upper()} to a JSON {json_shape(field)}, as in {example}: {error.__cause__ or ''}"
