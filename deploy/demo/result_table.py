"""The findings of the demo, the verdicts, and the table that it prints at the end."""

from __future__ import annotations

import http.client
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from deploy.demo.db_checks import Comparison
from deploy.demo.traffic_stats import TrafficTally

_SERIES = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass
class RunFigures:
    """Figures of one run.

    latency: (p50, p99) in milliseconds by name of the phase. lost: acknowledged writes that the databases do not have.
    seeded: faults that the checker was given, and whether it found them.
    """

    tally: TrafficTally = field(default_factory=TrafficTally)
    mirrored: int = 0
    server_errors: int = 0
    found: int = 0
    explained: int = 0
    repaired: int = 0
    refused_flips: int = 0
    compared: int = 0
    profiles: tuple[int, int, int] = (0, 0, 0)  # profiles, lead to their résumé before, and after
    comparisons: list[Comparison] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seeded: Mapping[str, bool] = field(default_factory=dict)
    latency: dict[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0

    def verdicts(self) -> dict[str, bool]:
        """Return everything that must be true, by what it is."""
        profiles, before, after = self.profiles
        return {
            "no request failed": not self.tally.failed and self.server_errors == 0,
            "every answer was right (clients read what they wrote)": not self.tally.wrong,
            "no acknowledged write was lost": not self.lost,
            "writes were mirrored": self.mirrored > 0,
            "the planted divergence was found, explained and repaired": (
                self.found > 0 and self.explained > 0 and self.repaired == self.found
            ),
            "flips were refused while they had to be": self.refused_flips >= 2,
            "every profile leads to its résumé, before and after": profiles > 0 and profiles == before == after,
            "both databases are equal, document by document": (
                bool(self.comparisons) and all(one.equal for one in self.comparisons)
            ),
            "the comparison finds seeded faults": bool(self.seeded) and all(self.seeded.values()),
        }

    def good(self) -> bool:
        return all(self.verdicts().values())

    def table(self) -> Table:
        """Return the table."""
        table = Table(title="Crossfade demo", title_style="bold", show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        table.add_section()
        for name, good in self.verdicts().items():
            table.add_row(name, "[green]yes[/green]" if good else "[bold red]NO[/bold red]")
        return table

    def _rows(self) -> list[tuple[str, str]]:
        documents = sum(one.documents for one in self.comparisons)
        differing = sum(len(one.missing) + len(one.extra) + len(one.different) for one in self.comparisons)
        identical = sum(one.identical for one in self.comparisons)
        profiles, before, after = self.profiles
        return [
            ("requests", f"{self.tally.requests:,} ({self.tally.writes:,} writes)"),
            ("failed requests", f"{len(self.tally.failed) + self.server_errors}"),
            (
                "requests that met the kill",
                f"{self.tally.exposed}: {self.tally.cut} cut off, writes looked up afterwards",
            ),
            ("wrong answers", f"{len(self.tally.wrong)}"),
            ("acknowledged writes lost", f"{len(self.lost)}"),
            ("changes mirrored", f"{self.mirrored:,}"),
            ("reads compared", f"{self.compared:,}"),
            ("mismatches found / explained / repaired", f"{self.found} / {self.explained} / {self.repaired}"),
            ("flips refused", f"{self.refused_flips}"),
            *self._latency_rows(),
            ("profiles that lead to their résumé", f"{before} of {profiles} before, {after} of {profiles} after"),
            ("documents compared directly", f"{documents:,}: {differing} differ, {identical:,} the same to the byte"),
            ("seeded faults found", f"{sum(self.seeded.values())} of {len(self.seeded)}"),
            ("time", f"{self.seconds:.0f} s"),
        ]

    def _latency_rows(self) -> list[tuple[str, str]]:
        base = self.latency.get("direct", (math.nan, math.nan))
        rows = [("latency straight to ArangoDB", f"p50 {base[0]:.1f} ms, p99 {base[1]:.1f} ms")]
        for phase, (p50, p99) in self.latency.items():
            if phase != "direct":
                added = f"p50 {p50 - base[0]:+.1f} ms, p99 {p99 - base[1]:+.1f} ms"
                rows.append((f"latency added, stage {phase}", added))
        return rows


def scrape(url: str) -> list[tuple[str, dict[str, str], float]]:
    """Return every series of a /metrics page: name, labels, value. Raise OSError if the server does not answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return [
        (name, dict(re.findall(r'([a-z_]+)="([^"]*)"', labels or "")), float(value))
        for name, labels, value in _SERIES.findall(text)
    ]


def report(console: Console, outcome: RunFigures) -> None:
    """Print the table, and what is wrong, if anything."""
    console.print()
    console.print(outcome.table())
    troubles = [*outcome.tally.failed, *outcome.tally.wrong, *outcome.lost]
    for one in outcome.comparisons:
        for kind, keys in (("missing", one.missing), ("extra", one.extra), ("different", one.different)):
            troubles += [f"{one.collection}/{key} is {kind}" for key in keys]
    for trouble in troubles[:20]:
        console.print(f"[red]{trouble}[/red]", markup=True, highlight=False, soft_wrap=True)
    if len(troubles) > 20:
        console.print(f"[red]… and {len(troubles) - 20} more[/red]")
