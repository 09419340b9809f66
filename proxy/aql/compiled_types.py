"""The types of a compiled expression: a plain function of the frame, or a stepwise one that asks the store."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

from proxy.aql.requests import StoreRequest
from proxy.aql.values import Value

Frame: TypeAlias = list[Any]
Plain: TypeAlias = Callable[[Frame], Value]
Steps: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, Value]]


class Stepwise:
    """A compiled expression that asks the store: `steps(frame)` yields requests and returns the value."""

    __slots__ = ("steps",)

    def __init__(self, steps: Steps) -> None:
        self.steps = steps


class Constant:
    """A plain function whose value is known."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __call__(self, _frame: Frame) -> Value:
        return self.value


Compiled: TypeAlias = Plain | Stepwise


def evaluate(compiled: Compiled, frame: Frame) -> Generator[StoreRequest, None, Value]:
    """Evaluate a compiled expression of either kind."""
    if isinstance(compiled, Stepwise):
        return (yield from compiled.steps(frame))
    return compiled(frame)
