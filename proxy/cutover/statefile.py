"""What an instance keeps in its state directory for the protocol: it must outlive the process, and need no PostgreSQL.

origin-only    made by the operator: break-glass, this instance reads from ArangoDB at once and is diverged
alone          made before the first answer from the origin alone while collections were flipped: until it has
               drained and rolled back, this instance may not renew its lease (mirror-protocol, "Flip", 7)
control.json   the last snapshot: an instance that PostgreSQL still counts goes on by it when it starts without
               PostgreSQL. Gone after a clean stop: from then on it says nothing about what others do.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import orjson

from proxy.cutover.codec import decode, encode
from proxy.cutover.stages import Snapshot


class StateFiles:
    """The three files, in one directory that is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._origin_only = folder / "origin-only"
        self._alone = folder / "alone"
        self._control = folder / "control.json"

    @property
    def origin_only(self) -> bool:
        return self._origin_only.exists()

    @property
    def alone(self) -> bool:
        return self._alone.exists()

    def note_alone(self) -> None:
        """Durable when it returns: a machine that goes down after the answer must still know of it."""
        if self.alone:
            return
        descriptor = os.open(self._alone, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._alone.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def clear_alone(self) -> None:
        self._alone.unlink(missing_ok=True)

    def keep(self, snapshot: Snapshot) -> None:
        """Replaces the kept snapshot in one step."""
        temporary = self._control.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(encode(snapshot)))
        temporary.replace(self._control)

    def kept(self) -> Snapshot | None:
        """The snapshot of the last life; None after a clean stop, or where the file cannot be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return decode(orjson.loads(self._control.read_bytes()))
        return None

    def forget(self) -> None:
        self._control.unlink(missing_ok=True)
