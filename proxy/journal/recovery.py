"""Recovery of the files that an earlier process left: they are read and judged, and only torn tails are cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.journal.dirty_collections import EVERYTHING
from proxy.journal.manifest import missed
from proxy.journal.segment import SUFFIX, Loaded, SegmentDamage, load

_MACHINE: Final = "the machine stopped before the journal was synced"
_UNJOURNALED: Final = "the journal could not be written, and the process ended before PostgreSQL had it all"


@dataclass(slots=True)
class Recovery:
    """The remains of an earlier process. collections: open intents of each, all of them spilled.

    damaged: sentences about what is not as a process leaves it. unjournaled: it had forwarded writes without an
    intent in the journal, and PostgreSQL did not have them all.
    """

    collections: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    machine_stopped: bool = False
    unjournaled: bool = False

    @property
    def open(self) -> int:
        return sum(self.collections.values())

    def add(self, collection: str, number: int) -> None:
        self.collections[collection] = self.collections.get(collection, 0) + number


@dataclass(frozen=True, slots=True)
class LeftOver:
    """The files of an earlier process. loaded: those that are complete. damaged: those that are not.

    last: the last number that any intent may have. marks: (collection, reason) of what needs a verification.
    """

    loaded: tuple[Loaded, ...]
    damaged: tuple[SegmentDamage, ...]
    last: int
    marks: tuple[tuple[str, str], ...]
    recovery: Recovery


def read(
    folder: Path,
    listed: set[int] | None,
    *,
    boot: str,
    identity: str,
    dirty: Callable[[], list[str]],
    unjournaled: Callable[[], bool],
) -> LeftOver:
    """Read the directory. Raise JournalError, OSError if it cannot be read.

    listed: the numbers in the manifest. boot, identity: of the machine and of the directory, now. dirty: reads which
    collections were written since the last sync point. unjournaled: opens the marker of that name, after it was looked
    for; returns True if it was set.
    """
    paths = sorted(folder.glob(f"{'[0-9a-f]' * 16}{SUFFIX}"))
    numbers = [int(path.stem, 16) for path in paths]
    before = _text(folder / "boot")
    missing = missed(folder, listed, numbers, before, identity)
    loaded: list[Loaded] = []
    damaged: list[SegmentDamage] = []
    last = 0
    for path, following in itertools.zip_longest(paths, numbers[1:]):
        found = load(path, following)
        if isinstance(found, SegmentDamage):
            damaged.append(found)
            last = max(last, found.last)
        elif found is not None:
            loaded.append(found)
            last = max(last, found.segment.base + len(found.segment.state) - 1)
    reasons = [*missing, *(damage.reason for damage in damaged)]
    stopped = before is not None and (before.partition("\n")[0].strip() != boot or not boot)
    marks = [(EVERYTHING, reason) for reason in reasons]
    if stopped:
        marks += [(name, _MACHINE) for name in dirty()]
    marker = unjournaled()
    if marker:
        marks.append((EVERYTHING, _UNJOURNALED))
    recovery = Recovery({}, reasons, stopped, marker)
    return LeftOver(tuple(loaded), tuple(damaged), last, tuple(marks), recovery)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
