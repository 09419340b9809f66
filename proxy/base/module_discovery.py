"""Import every module of a package: how tables are filled by modules that register themselves."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def import_modules(package: str) -> list[ModuleType]:
    """Import the modules of the package, in the order of their names, and return them. Its `__init__` may call this."""
    path = importlib.import_module(package).__path__
    return [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(path)]
