"""What is pinned is all that is installed: `pip install --no-deps` never asks what a package would like besides.

Without `--no-deps` the pip of Python 3.11 resolves an extra such as `coverage[toml]` to the newest release, which has
no hash here: an installation that worked breaks on the day of that release.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]


def pinned(file: str) -> dict[str, Requirement]:
    """The requirements of one file under requirements/, by canonical name."""
    text = re.sub(r"\\\n", " ", (ROOT / "requirements" / file).read_text())
    lines = [re.split(r"\s--hash", line)[0].strip() for line in text.splitlines() if line.strip()]
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in found}


def needed(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What the installed package `name` requires on this Python with these extras."""
    wanted = [Requirement(text) for text in requires(name) or []]
    return [
        one
        for one in wanted
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]


def missing(pins: dict[str, Requirement], start: list[Requirement]) -> list[str]:
    """Every requirement reachable from `start` that `pins` does not hold at a version that fits."""
    faults: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [*start, *pins.values()]
    while queue:
        wanted = queue.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        pin = pins.get(name)
        if pin is None or not all(wanted.specifier.contains(s.version, prereleases=True) for s in pin.specifier):
            faults.add(str(wanted))
            continue
        if (name, extras) in seen or (pin.marker is not None and not pin.marker.evaluate({"extra": ""})):
            continue
        seen.add((name, extras))
        try:
            queue += needed(name, extras)
        except PackageNotFoundError:
            faults.add(f"{name} is pinned and not installed")
    return sorted(faults)


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(text) for group in lists for text in group]


@pytest.mark.parametrize(
    ("file", "start"), [("dev.txt", declared("demo")), ("run.txt", declared("demo")), ("build.txt", [])]
)
def test_each_requirement_of_each_pinned_package_is_pinned_too(file: str, start: list[Requirement]) -> None:
    assert missing(pinned(file), start) == []


def test_a_requirement_that_an_extra_brings_in_is_missed_where_it_is_not_pinned() -> None:
    pins = pinned("dev.txt")
    pins.pop("pyyaml")
    assert any(one.lower().startswith("pyyaml") for one in missing(pins, []))
    assert any("httpx" in one for one in missing(pinned("dev.txt"), [Requirement("httpx>=999")]))


def test_every_installation_in_the_makefile_and_the_docs_names_what_it_installs() -> None:
    for path in (ROOT / "Makefile", ROOT / "deploy/Dockerfile", *ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")):
        for line in re.findall(r"pip install[^\n`]*-r requirements[^\n`]*", path.read_text()):
            assert {"--require-hashes", "--no-deps"} <= set(line.split()), (path.name, line)


def test_the_documented_installation_of_the_command_resolves_nothing_anew() -> None:
    """Without constraints the next release of any dependency, or of the build backend, would be installed untested."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "deploy/runbook.md"):
        for line in re.findall(r"(?:uv tool|pipx|pip) install[^\n`]* \.(?=[\n`])", path.read_text()):
            assert "-c requirements/run.txt" in line, (path.name, line)
            assert "-b requirements/build.txt" in line, (path.name, line)
