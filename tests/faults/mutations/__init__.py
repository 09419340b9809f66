"""Seeded faults in the product's code, one module per subject. Each module has a tuple MUTANTS, and is found by its
location.

A mutant replaces text in one file of the tree, and names one test (`file::name`) that passes without it and fails with
it. `make mutants` tries them all; `python -m tests.faults.mutants --subject NAME` those of one module. The suite also
checks that each text is still there (tests/faults/test_mutations.py): a change of that code must update the mutant.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` occurs `times` times in the file (0: any number) and becomes `new`; `test` must then fail."""

    name: str
    file: str
    old: str
    new: str
    test: str
    times: int = 1


def subjects() -> dict[str, tuple[Mutant, ...]]:
    """Return the mutants of each module of this package, by its name."""
    found: dict[str, tuple[Mutant, ...]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda known: known.name):
        found[module.name] = importlib.import_module(f"{__name__}.{module.name}").MUTANTS
    return found
