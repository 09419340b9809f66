"""The fault matrix as data: the faults, the places where they begin, and the result of one cell. `matrix` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.model.stages import Stage
from tests.faults.chaos import MODES

STAGES: Final = (Stage.MIRROR, Stage.SHADOW, Stage.FLIPPED)
REFUSE = "disk full, refuse"
REMOVED = "kill, files removed"
READ_ONLY = "session read-only"
REFUSED = "document refused"  # every insert and update, by a trigger
# whose wall clock is stepped before the proxy is killed, and by how many seconds. (The machine's time since its boot
# continues, as with a real step. PostgreSQL's clock cannot be stepped alone:
# tests/unit/control/instance/test_target_clock.py.)
CLOCKS: Final = {
    "clock back, kill": ("proxy", -600.0),
    "clock ahead, kill": ("proxy", 600.0),
    "origin's clock back, kill": ("origin", -600.0),
}
KILLS: Final = ("kill", REMOVED, *CLOCKS)
FAULTS: tuple[str, ...] = (
    *KILLS,
    *(f"origin {mode}" for mode in MODES),
    *(f"target {mode}" for mode in MODES),
    "origin stopped",
    "target stopped",
    "disk full",
    REFUSE,
    READ_ONLY,
    REFUSED,
)
# which faults may cost clients an answer: those of ArangoDB itself, and where the operator configured it; a
# kill breaks connections and nothing else
_MAY_COST = (*(fault for fault in FAULTS if fault.startswith("origin ")), REFUSE)


@dataclass(frozen=True, slots=True)
class Place:
    """A failpoint reached for the nth time under traffic of one kind."""

    kind: str
    point: str
    nth: int = 2

    @property
    def name(self) -> str:
        return f"{self.kind} {self.point}"


PLACES: tuple[Place, ...] = (
    Place("documents", "after-intend", 9),
    Place("documents", "after-forward", 9),
    Place("documents", "before-complete", 9),
    Place("documents", "mid-batch"),
    Place("documents", "after-apply"),
    Place("documents", "mid-repair", 1),
    Place("opaque", "before-mark", 1),
    Place("options", "after-forward", 5),
    Place("transactions", "transaction-begun"),
    Place("transactions", "transaction-wrote", 5),
    Place("transactions", "before-commit"),
    Place("transactions", "after-commit"),
    Place("transactions", "before-transaction"),
    Place("transactions", "mid-transaction", 1),
    Place("imports", "after-intend", 3),
    Place("imports", "after-forward", 3),
    Place("imports", "mid-import", 1),
    Place("modifications", "after-intend", 3),
    Place("modifications", "after-forward", 3),
    Place("modifications", "keys-read"),
    Place("cursors", "after-forward", 3),
    Place("cursors", "keys-read", 3),
    Place("cursors", "before-commit"),
    Place("graphs", "after-intend", 3),
    Place("graphs", "after-forward", 9),
    Place("graphs", "mid-cascade", 1),
    Place("collections", "after-intend", 4),
    Place("collections", "after-forward", 4),
    Place("collections", "stamp-floor-raised", 1),
    Place("collections", "mid-resync", 1),
    Place("jobs", "job-begun", 3),
    Place("jobs", "after-forward", 3),
    Place("refused", "after-intend", 3),
    Place("refused", "after-forward", 3),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of one fault at one failpoint.

    lost: missing or older in PostgreSQL; ghosts: only in PostgreSQL. stale: reads of documents (out of `reads`) that
    showed an older version than was known when they began. marks: collections that became unverified. letters: dead
    letters. flagged: documents that differed and were covered by a mark or a dead letter until a verification repaired
    them. kept: runs whose flip was still in force at the end. failed: the text of each error. ended: whether the cell
    completed, so that the next one can start from its state.
    """

    place: Place
    fault: str
    stage: Stage = Stage.MIRROR
    runs: int = 0
    writes: int = 0
    reads: int = 0
    lost: int = 0
    ghosts: int = 0
    stale: int = 0
    errors: int = 0
    broken: int = 0
    marks: int = 0
    letters: int = 0
    flagged: int = 0
    kept: int = 0
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    seconds: float = 0.0
    ended: bool = True

    @property
    def good(self) -> bool:
        """True if nothing was lost, no ghost or stale read was found, and errors are only those the fault
        allows.
        """
        quiet = self.errors == 0 or self.fault in _MAY_COST
        whole = self.broken == 0 or self.fault in (*KILLS, *_MAY_COST)
        return not (self.lost or self.ghosts or self.stale or self.notes) and quiet and whole


_FIGURES: Final = (
    "runs",
    "writes",
    "reads",
    "lost",
    "ghosts",
    "stale",
    "errors",
    "broken",
    "marks",
    "letters",
    "flagged",
    "kept",
)
HEAD = f"{'point':32}{'fault':26}{'stage':8}" + "".join(f"{name:>8}" for name in (*_FIGURES, "seconds"))


def figures(cells: Sequence[Cell]) -> str:
    """Return the sum of each figure over the cells."""
    return "".join(f"{sum(getattr(cell, name) for cell in cells):8}" for name in _FIGURES)


def line(cell: Cell) -> str:
    """Format a cell as one line of text."""
    wrong = "" if cell.good else "  WRONG " + "; ".join((*cell.notes[:3], *cell.failed[:3]))
    return f"{cell.place.name:32}{cell.fault:26}{cell.stage.value:8}{figures([cell])}{cell.seconds:8.1f}{wrong}"


def table(cells: Sequence[Cell]) -> str:
    """Format one line per cell, then the sums of each stage and of all."""
    stages = [stage for stage in STAGES if any(cell.stage is stage for cell in cells)]
    sums = [f"{'all':58}{stage.value:8}{figures([c for c in cells if c.stage is stage])}" for stage in stages]
    return "\n".join([HEAD, *map(line, cells), *sums, f"{'all':66}{figures(cells)}"])


LEGEND: Final = """\
errors: answers of 5xx, only where ArangoDB was away, or where the operator has writes refused on a full disk.
broken: connections, only by a kill of the proxy, or ArangoDB's.
stale: reads that showed an older version than was known when they began.
marks: collections that became unverified. letters: documents that PostgreSQL refused.
flagged: documents that differed and were covered by a mark or a dead letter until a verification repaired them.
kept: cells of the stage `flipped` whose flip was still in force at the end."""
