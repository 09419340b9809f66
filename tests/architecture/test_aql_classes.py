"""The compilers of AQL are functions on a context object, not one object cut into levels of inheritance."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_DEPTH = 3  # classes above a class, itself included, `object` not


def classes(folder: Path) -> dict[str, list[tuple[Path, list[str]]]]:
    """Return the classes defined in a folder by name: where, and the names of their bases."""
    found: dict[str, list[tuple[Path, list[str]]]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                found.setdefault(node.name, []).append((path, bases))
    return found


def depth(name: str, known: dict[str, list[tuple[Path, list[str]]]]) -> int:
    """Return the number of classes of the folder in the line of inheritance of one, itself included."""
    if name not in known:
        return 0
    return 1 + max((depth(base, known) for _, bases in known[name] for base in bases), default=0)


def test_inheritance_is_shallow_and_every_class_has_its_own_name() -> None:
    found = classes(ROOT / "proxy/aql")
    deepest = max(found, key=lambda name: depth(name, found))
    assert depth(deepest, found) <= MAX_DEPTH, deepest
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
