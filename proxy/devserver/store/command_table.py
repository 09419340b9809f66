"""The table of commands: the `COMMANDS` of every module of `handlers`, by the names of endpoints (`wire.endpoints`).

An endpoint without a command is answered with 501 and its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Final

from proxy.base.module_discovery import import_modules
from proxy.devserver.store import handlers
from proxy.devserver.store.commands import EndpointCommand


def merged(modules: Iterable[ModuleType]) -> dict[str, EndpointCommand]:
    """Return the commands of all modules. Raise ValueError if two modules answer one endpoint."""
    found: dict[str, EndpointCommand] = {}
    owner: dict[str, str] = {}
    for module in modules:
        for name, command in module.COMMANDS.items():
            if name in found:
                raise ValueError(f"endpoint {name} has a command in {owner[name]} and in {module.__name__}")
            found[name], owner[name] = command, module.__name__
    return found


COMMANDS: Final[Mapping[str, EndpointCommand]] = merged(import_modules(handlers.__name__))
