"""Counts of what makes a code base hard to read: `python -m tests.architecture.counts` prints them.

Each count has a limit; `test_counts` asserts that none is exceeded. Inheritance counts classes of this project only,
and leaves out the tree of errors, whose depth is its purpose.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp
from grimp import ImportGraph

import sql
from sql.loader import queries
from sql.statement import Statement

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("proxy", "backfill", "sql", "deploy")
ALL: Final = (*PRODUCT, "tests", "bench")
LINES: Final = 400
DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted, each finding in words, and how many may remain."""

    what: str
    found: tuple[str, ...]
    limit: int = 0

    @property
    def exceeded(self) -> bool:
        return len(self.found) > self.limit


def modules(root: Path, packages: Iterable[str]) -> Iterator[Path]:
    """Yield every Python module of the packages."""
    for package in packages:
        yield from sorted((root / package).rglob("*.py"))


def long_modules(root: Path) -> tuple[str, ...]:
    """Return the modules with more than 400 lines."""
    sizes = ((path, len(path.read_text("utf-8").splitlines())) for path in modules(root, ALL))
    return tuple(f"{path.relative_to(root)}: {size} lines" for path, size in sizes if size > LINES)


def depths(bases: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return how many classes of the mapping stand on each other: 1 for a class without a base in it."""

    def depth(name: str) -> int:
        return 1 + max((depth(base) for base in bases[name] if base in bases), default=0)

    return {name: depth(name) for name in bases}


def deep_classes(root: Path) -> tuple[str, ...]:
    """Return the classes of product code whose inheritance is deeper than three. Errors are left out."""
    bases: dict[str, list[str]] = {}
    for path in modules(root, PRODUCT):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.endswith("Error"):
                named = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
                bases[node.name] = [base.id for base in named if isinstance(base, ast.Name) and base.id != node.name]
    return tuple(f"{name}: {depth} levels" for name, depth in sorted(depths(bases).items()) if depth > DEPTH)


def equal_names(root: Path) -> tuple[str, ...]:
    """Return the public class names that stand in several modules of the product.

    Rows of SQL statements are left out: they are read as `sql.topic.Row`.
    """
    found: dict[str, list[str]] = {}
    for path in modules(root, [package for package in PRODUCT if package != "sql"]):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(root)))
    return tuple(f"{name}: {', '.join(paths)}" for name, paths in sorted(found.items()) if len(paths) > 1)


def circles(graph: ImportGraph) -> list[list[str]]:
    """Return each set of modules that import each other in a circle (strongly connected components of two or more)."""
    imports = {module: sorted(graph.find_modules_directly_imported_by(module)) for module in sorted(graph.modules)}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:  # Tarjan's algorithm
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in imports[module]:
            if other not in imports:
                continue
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            start = stack.index(module)
            component = sorted(stack[start:])
            del stack[start:]
            if len(component) > 1:
                found.append(component)

    for module in imports:
        if module not in order:
            visit(module)
    return found


def import_circles() -> tuple[str, ...]:
    """Return the import circles of the product, imports for the type checker included."""
    graph = grimp.build_graph(*PRODUCT, cache_dir=None, exclude_type_checking_imports=False)
    return tuple(" <-> ".join(circle) for circle in circles(graph))


def untyped_statements() -> tuple[str, ...]:
    """Return the statements in sql/queries that no typed declaration in sql/statements names."""
    untyped: list[str] = []
    for topic in sorted(path.stem for path in (ROOT / "sql" / "queries").glob("*.sql")):
        declarations = vars(getattr(sql, topic, None) or object).values()
        typed = {value.name for value in declarations if isinstance(value, Statement)}
        untyped += [f"{topic}.{name}" for name in queries(topic) if name not in typed]
    return tuple(untyped)


def counts(root: Path = ROOT) -> tuple[Count, ...]:
    """Return all counts of this checkout."""
    return (
        Count("modules over 400 lines", long_modules(root)),
        Count("classes more than three levels deep", deep_classes(root)),
        Count("class names that stand in several modules", equal_names(root)),
        Count("import circles", import_circles()),
        Count("SQL statements without a typed row", untyped_statements()),
    )


def main() -> int:
    """Print every count with what it found; return 1 if one exceeds its limit."""
    found = counts()
    for count in found:
        print(f"{len(count.found):4} {count.what} (at most {count.limit})")
        for one in count.found:
            print(f"       {one}")
    return int(any(count.exceeded for count in found))


if __name__ == "__main__":
    sys.exit(main())
