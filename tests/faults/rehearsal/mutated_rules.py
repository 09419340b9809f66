"""A rule of `proxy.semantics` or `proxy.model.documents` that is another one for a time, in this process."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class RuleMutant:
    """One difference. place: `module:function` or `module:Class.method`. The first `old` in it becomes `new`."""

    place: str
    old: str
    new: str

    @property
    def name(self) -> str:
        return f"{self.place.rpartition(':')[2]}: {self.old.strip()} -> {self.new.strip()}"

    def function(self) -> FunctionType:
        """Return the function that it changes."""
        module, _, path = self.place.partition(":")
        found: Any = importlib.import_module(f"proxy.{module}")
        for part in path.split("."):
            found = inspect.getattr_static(found, part)
        if isinstance(found, staticmethod):
            found = found.__func__
        if isinstance(found, property):
            found = found.fget
        assert isinstance(found, FunctionType), self.place
        return found

    def source(self) -> str:
        """Return the changed source of its function. Raise ValueError if the table is out of date."""
        source = textwrap.dedent(inspect.getsource(self.function()))
        if self.old not in source:
            raise ValueError(f"{self.place} has no {self.old!r}")
        return source.replace(self.old, self.new, 1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the function's code, so that everything which has imported it runs the other one."""
        function = self.function()
        lines = self.source().splitlines()
        while not lines[0].startswith("def "):  # decorators
            del lines[0]
        space: dict[str, Any] = {}
        code = "from __future__ import annotations\n" + "\n".join(lines)
        exec(compile(code, f"<{self.name}>", "exec"), function.__globals__, space)
        before = function.__code__
        function.__code__ = space[function.__name__].__code__
        try:
            yield
        finally:
            function.__code__ = before
