"""Formats numbers, sizes, times and outcomes for a report. Pure."""

from __future__ import annotations

from backfill.archive.cli_output import volume
from backfill.migration_report.facts import RunFacts


def count(value: int | None) -> str:
    """Return `1,234`; a dash if unknown."""
    return "–" if value is None else f"{value:,}"


def size(value: float | None) -> str:
    """Return `12 B`, `3.4 KiB`; a dash if unknown."""
    return "–" if value is None else volume(value)


def seconds(value: float) -> str:
    """Return `0.42 s`, `2 min 05 s`, `1 h 10 min`."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(text: str | None) -> str:
    """Return an ISO time as `2026-01-31 12:00:00 UTC`."""
    return "–" if text is None else text.replace("T", " ").replace("Z", " UTC")


def stage(name: str, weight: int) -> str:
    """Return `flipped 10 %`, `shadow`."""
    return f"{name} {weight} %" if name == "flipped" else name


def outcome(run: RunFacts) -> str:
    """Return the result of a run in a few words."""
    if run.error:
        return run.error
    if run.kind == "backfill":
        return f"{run.chunks_done} of {run.chunks} ranges"
    parts = [f"{number:,} {kind}" for kind, number in run.found.items()]
    text = ", ".join(parts) if parts else "equal" if run.left == 0 else ""
    if run.checked is not None:
        text = f"{run.checked:,} keys: {text}" if text else f"{run.checked:,} keys"
    if run.repaired:
        text += f"; {run.repaired:,} repaired"
    if run.left:
        text += f"; {run.left:,} left"
    return text or "–"
