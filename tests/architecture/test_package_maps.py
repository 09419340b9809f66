"""The docstring of a package: its map names the modules that exist, all and no other, and its terms are explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_TOPS: Final = ("proxy", "backfill", "sql", "deploy/demo")
# packages whose modules are listed by a table of the code, or that are a list of equals
_UNMAPPED: Final = frozenset(
    {"proxy/capture/kinds", "proxy/control/gates/rules", "proxy/devserver/store/handlers", "sql/statements"}
)
# in the first column of a map, beside modules
_OTHER: Final = frozenset({"proxy/aql: text"})
_TOKEN: Final = re.compile(r"[a-z][a-z0-9_]*")


def packages() -> list[str]:
    """Return the packages of the product, as paths."""
    found = {path.parent for top in _TOPS for path in (_ROOT / top).rglob("__init__.py")}
    return sorted(str(path.relative_to(_ROOT)) for path in found if str(path.relative_to(_ROOT)) not in _UNMAPPED)


def members(package: Path) -> set[str]:
    """Return the names of a package's modules and subpackages."""
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


def named(docstring: str) -> set[str]:
    """Return the names in the first columns of the map: what stands before two or more spaces, down to the glossary."""
    text = docstring.split("\nTerms", 1)[0]
    found: set[str] = set()
    for line in text.splitlines()[1:]:
        column, space, _ = re.sub(r"\([^)]*\)", "", line.strip()).partition("  ")
        words = [word.rstrip("/") for word in re.split(r"->|[,|\s]+", column) if word]
        if space and all(_TOKEN.fullmatch(word) for word in words):
            found.update(words)
    return found


@pytest.mark.parametrize("package", packages())
def test_a_map_names_what_exists(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((_ROOT / package / "__init__.py").read_text("utf-8"))) or ""
    existing = members(_ROOT / package)
    missing = {name for name in existing if not re.search(rf"(?<![a-z0-9_]){name}(?![a-z0-9_])", docstring)}
    invented = {name for name in named(docstring) - existing if f"{package}: {name}" not in _OTHER}
    assert (missing, invented) == (set(), set())


@pytest.mark.parametrize("package", [*packages(), "proxy/capture/kinds", "proxy/devserver/store/handlers"])
def test_a_package_explains_its_terms(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((_ROOT / package / "__init__.py").read_text("utf-8"))) or ""
    terms = re.search(r"^Terms\b.*", docstring, re.DOTALL | re.MULTILINE)
    assert terms is not None
    assert re.search(r"\*\w[^*]*\*|^    \S.*  \S", terms[0], re.MULTILINE), "no term in asterisks or in a first column"


def test_a_map_that_is_wrong_is_found() -> None:
    docstring = "A room.\n\n    first, second/   what they do; third: more\n\nTerms:\n\n    word  meaning\n"
    assert named(docstring) == {"first", "second"}
