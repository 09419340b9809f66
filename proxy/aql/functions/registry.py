"""Where functions are found by name. An implementation takes the run's Context and the evaluated arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from proxy.aql.values import Value

Implementation: TypeAlias = Callable[..., Value]

REGISTRY: dict[str, Implementation] = {}


def function(*names: str) -> Callable[[Implementation], Implementation]:
    """Registers an implementation under one or several names."""

    def register(implementation: Implementation) -> Implementation:
        for name in names:
            REGISTRY[name] = implementation
        return implementation

    return register


def is_number(value: Any) -> bool:
    """Whether it is a number (a bool is none)."""
    return value.__class__ is int or value.__class__ is float
