"""The decorator by which functions register what they handle: a keyword, a type of token, a type of node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Key = TypeVar("Key")
Registered = TypeVar("Registered")


def registering(table: dict[Key, Any], keys: tuple[Key, ...]) -> Callable[[Registered], Registered]:
    """Return a decorator that stores a function in the table under each key, and leaves it as it is."""

    def register(function: Registered) -> Registered:
        table.update(dict.fromkeys(keys, function))
        return function

    return register
