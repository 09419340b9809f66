"""The counts of traffic, and the conditions that all its clients share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrafficTally:
    """The counts of one client, or of all. seconds: the latency of each request, by phase.

    exposed: requests in progress while the proxy was killed, or sent while it was dead; cut: those that raised.
    """

    requests: int = 0
    writes: int = 0
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    exposed: int = 0
    cut: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, other: TrafficTally) -> None:
        self.requests += other.requests
        self.writes += other.writes
        self.failed += other.failed
        self.wrong += other.wrong
        self.exposed += other.exposed
        self.cut += other.cut
        for phase, values in other.seconds.items():
            self.seconds.setdefault(phase, []).extend(values)

    def percentile(self, percent: float, *phases: str) -> float:
        """Return the milliseconds below which `percent` of the requests of these phases were answered; nan if there
        were none.
        """
        values = sorted(value for phase in phases for value in self.seconds.get(phase, ()))
        return values[min(len(values) - 1, int(len(values) * percent / 100))] * 1000 if values else float("nan")


@dataclass
class TrafficConditions:
    """Conditions that all clients share: the URL, the phase, and whether requests may be cut off at present."""

    url: str
    phase: str = "direct"
    cuts: int = 0  # raised before each kill
    down: bool = False
    hurry: bool = False  # no pause between requests, and reads by key alone
    stopping: bool = False
