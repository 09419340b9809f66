"""The scenarios as data: which fault, at which steps, and which answers it may cost clients.

A fault begins at a *moment*: while one of the commands runs (`promote`, `demote`), or between them, when all is at rest
(`flipped`, `promoted`); or at a *point*, a named step of a process (proxy/base/failpoints.py). Rounds take the moments
and the points of their scenario in turn.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.base import failpoints


class Fault(enum.Enum):
    """What is brought about."""

    NONE = "nothing"
    FREEZE = "a proxy is stopped (SIGSTOP), and continued later"
    CUT_TARGET = "one proxy loses PostgreSQL"
    CUT_ORIGIN = "proxies and command lose ArangoDB"
    KILL_COMMAND = "the command is killed at a point"
    KILL_PROXY = "a proxy is killed at a point, and started again"
    FREEZE_PROXY = "a proxy is stopped at a point, and continued later"
    KILL_LATE = "a proxy is killed after a point; what it sends ArangoDB from there on arrives later"
    FREEZE_LATE = "the same, and it is stopped instead"


class Moment(enum.StrEnum):
    """When a fault without a point begins."""

    FLIPPED = "flipped"
    PROMOTE = "promote"
    PROMOTED = "promoted"
    DEMOTE = "demote"


class Cost(enum.StrEnum):
    """Which requests may fail because of the fault: nothing else may."""

    BROKEN = "broken"  # connections to a proxy that is killed
    UNAVAILABLE = "unavailable"  # 503: the database that must answer is away, or the outcome of a write is unknown


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. share: how many of the program's rounds it runs. beside: a command runs during the fault."""

    fault: Fault
    moments: tuple[Moment, ...] = ()
    points: tuple[str, ...] = ()
    costs: frozenset[Cost] = frozenset()
    share: float = 0.1
    beside: bool = True


_EVERY: Final = tuple(Moment)
# of writes that PostgreSQL takes, and of writes that ArangoDB takes
WRITES: Final = (
    *("write-fenced", "write-made", "write-committed"),
    *("after-intend", "after-forward", "before-complete", "mid-batch", "after-apply"),
)
_IN_FLIGHT: Final = ("push-begun", "push-committing")  # the next requests: write the fence document; commit
_ASKS_ORIGIN: Final = (Moment.FLIPPED, Moment.PROMOTE, Moment.DEMOTE)
_OF_KILLS: Final = frozenset({Cost.BROKEN, Cost.UNAVAILABLE})
_UNAVAILABLE: Final = frozenset({Cost.UNAVAILABLE})
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "calm": Scenario(Fault.NONE, share=1.0),
    "proxy frozen": Scenario(Fault.FREEZE, _EVERY),
    "PostgreSQL cut": Scenario(Fault.CUT_TARGET, _EVERY, costs=_UNAVAILABLE),
    "ArangoDB cut": Scenario(Fault.CUT_ORIGIN, _ASKS_ORIGIN, costs=_UNAVAILABLE),
    "ArangoDB cut, promoted": Scenario(Fault.CUT_ORIGIN, (Moment.PROMOTED,), beside=False),
    "command killed": Scenario(Fault.KILL_COMMAND, points=failpoints.COMMANDS, share=0.2),
    "proxy killed": Scenario(Fault.KILL_PROXY, points=(*failpoints.INSTANCE, *WRITES), costs=_OF_KILLS, share=0.2),
    "applier killed": Scenario(Fault.KILL_PROXY, points=failpoints.REVERSE, costs=_OF_KILLS),
    "applier frozen": Scenario(Fault.FREEZE_PROXY, points=failpoints.REVERSE),
    "push late, applier killed": Scenario(Fault.KILL_LATE, points=_IN_FLIGHT, costs=_OF_KILLS),
    "push late, applier frozen": Scenario(Fault.FREEZE_LATE, points=_IN_FLIGHT),
}
