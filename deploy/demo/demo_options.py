"""Options of the demo, and the collections that it moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.demo import fake_data, records
from deploy.demo.fake_data import DATABASE

SERVICE = tuple((DATABASE, name) for name in fake_data.COLLECTIONS)
REFERENCE = tuple((records.DATABASE, name) for name in ("languages", "subdivisions", "licences", "emoji"))
NAMES = tuple(f"{database}/{name}" for database, name in (*SERVICE, *REFERENCE))


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of one run of the demo.

    rate: requests a second of all clients; steady: seconds that each measured phase lasts; comparisons: how many each
    collection needs for its flip (production: 3,000 and days). share: part of all records that is loaded,
    lost_request_timeout: seconds after which a lost request can no longer run; both for short tests.
    """

    folder: Path | None = None
    clients: int = 6
    rate: float = 120.0
    steady: float = 6.0
    comparisons: int = 500
    share: float = 1.0
    lost_request_timeout: float = 10.0
    password: str = ""

    def settings(self) -> dict[str, str]:
        """Return the settings of the proxy and the commands."""
        return {
            "CROSSFADE_LEASE": "3",
            "CROSSFADE_LOST_REQUEST_TIMEOUT": str(self.lost_request_timeout),
            "CROSSFADE_LOG_LEVEL": "warning",
        }

    def gate_limits(self) -> dict[str, int]:
        """Return limits of gates: fewer comparisons than production, on a machine that servers and clients share."""
        return {
            "comparisons": self.comparisons,
            "shape_comparisons": max(1, self.comparisons // 25),
            "min_p99_seconds": 2,
        }
