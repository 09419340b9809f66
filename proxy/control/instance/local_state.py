"""Files of the protocol in the state directory: they outlive the process, and need no PostgreSQL.

origin-only    created by the operator: break-glass, this instance immediately reads from ArangoDB and is diverged
alone          created before the first answer from ArangoDB alone while collections are flipped: until it has
               drained and rolled back, this instance may not renew its lease (mirror-protocol, "Flip", 7)
beats          how many heartbeats this directory has sent, before each is sent, whether it answered alone since it last
               held a lease, and on which boot of the machine. PostgreSQL keeps the count as well: a directory that
               knows of fewer is an older copy, and its journal lacks what was noted since it was made. The file lies
               with the journal, so that a journal that was removed as a whole is missed too. What a stop of the
               machine took is no older copy: then only the count that was synced is compared.
control.json   the last snapshot: an instance that is still registered runs at it if it starts without PostgreSQL.
               Deleted by a clean stop: from then on it does not show what others do.
promoted       exists if PostgreSQL takes the writes of a collection, or may soon: a clean stop leaves it. An instance
               that knows no more than that does not start without PostgreSQL, since it would forward such writes.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from proxy.base.private_files import make_private, write_private
from proxy.model.stages import Snapshot, Stage
from proxy.state.codec import decode, encode

_DIGITS: Final = 20
_BOOT: Final = 36  # characters of a boot's name
_ALONE: Final = "A"


@dataclass(frozen=True, slots=True)
class HeartbeatCount:
    """Heartbeats that the directory had sent when it was opened. rebooted: the machine has stopped since."""

    sent: int
    rebooted: bool


class StateFiles:
    """The files, in one directory, which is created if missing. boot: identifies this boot of the machine."""

    def __init__(self, folder: Path, boot: str = "") -> None:
        make_private(folder / "journal")
        self._beats = folder / "journal" / "beats"
        self._boot = boot[:_BOOT].ljust(_BOOT)
        before, flag, boot_before = self._read()
        self._alone_too = flag
        self.found = HeartbeatCount(before, rebooted=before > 0 and boot_before != self._boot)
        self.sent = self.synced = before
        self._origin_only = folder / "origin-only"
        self._alone = folder / "alone"
        self._control = folder / "control.json"
        self._promoted = folder / "promoted"
        self._unkept: Snapshot | None = None  # not written because of the disk
        self._kept_generation: int | None = None  # of the last that was

    @property
    def origin_only(self) -> bool:
        return self._origin_only.exists()

    @property
    def promoted(self) -> bool:
        return self._promoted.exists()

    @property
    def alone(self) -> bool:
        return self._alone.exists() or self._alone_too

    def record_origin_only_ack(self) -> None:
        """Create the file `alone`. Durable when it returns: it must survive a machine that stops after the answer."""
        if self._alone.exists():
            return
        self._alone_too = True
        with contextlib.suppress(OSError):
            self._write()
        descriptor = os.open(self._alone, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(self._alone.parent)

    def clear_alone(self) -> None:
        self._alone.unlink(missing_ok=True)
        self._alone_too = False
        with contextlib.suppress(OSError):
            self._write()

    # ---- the count of heartbeats

    def beats_from(self, count: int) -> None:
        """Count from at least the number that PostgreSQL has."""
        self.sent = max(self.sent, count)

    def beat(self) -> int:
        """Return the number of the heartbeat that is about to be sent; it is in the file when this returns."""
        self.sent += 1
        with contextlib.suppress(OSError):  # the file exists; a disk that fails makes this directory an older copy
            self._write()
        if self._unkept is not None:
            self.keep(self._unkept)
        return self.sent

    def sync(self) -> None:
        """Wait until the count is on disk; run it in a thread."""
        sent = self.sent
        with contextlib.suppress(OSError), self._beats.open("r+b") as file:
            os.fdatasync(file.fileno())
            self.synced = sent

    def _read(self) -> tuple[int, bool, str]:
        with contextlib.suppress(OSError, ValueError):
            text = self._beats.read_text("ascii")
            return int(text[:_DIGITS]), text[_DIGITS] == _ALONE, text[_DIGITS + 1 :]
        return 0, False, ""

    def _write(self) -> None:
        """Overwrite in place, which succeeds on a full disk."""
        text = f"{self.sent:0{_DIGITS}d}{_ALONE if self._alone_too else '-'}{self._boot}"
        descriptor = os.open(self._beats, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.pwrite(descriptor, text.encode("ascii", "replace"), 0)
        finally:
            os.close(descriptor)

    def keep(self, snapshot: Snapshot) -> None:
        """Replace the stored snapshot atomically.

        Never fails, since heartbeats continue while the disk is full. An older snapshot would be worse than none, so it
        is deleted, and the new one is written as soon as the disk has room (`beat`). One that concerns promotions is on
        disk when this returns, in case the machine stops.
        """
        temporary = self._control.with_suffix(".new")
        self._unkept = snapshot
        promotes = _promotes(snapshot)
        try:
            if promotes:
                write_private(self._promoted, b"")
            write_private(temporary, orjson.dumps(encode(snapshot)), durable=promotes)
            temporary.replace(self._control)
            if promotes:
                _sync_folder(self._control.parent)
            else:
                self._promoted.unlink(missing_ok=True)
            self._unkept, self._kept_generation = None, snapshot.generation
        except OSError:
            with contextlib.suppress(OSError):
                self._control.unlink(missing_ok=True)

    def has(self, snapshot: Snapshot) -> bool:
        """Return True if the snapshot that was to be kept last is of that generation, and the file has it."""
        return self._unkept is None and self._kept_generation == snapshot.generation

    def kept(self) -> Snapshot | None:
        """Return the snapshot of the last process; None after a clean stop, or if the file cannot be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return decode(orjson.loads(self._control.read_bytes()))
        return None

    def forget(self) -> None:
        self._unkept = None
        self._control.unlink(missing_ok=True)


def _promotes(snapshot: Snapshot) -> bool:
    """Return True if PostgreSQL takes the writes of a collection, or will when the open epoch commits."""
    return any(state.stage.at_least(Stage.PROMOTED) for state in snapshot.collections.values()) or any(
        transition.promotes for transition in snapshot.transitions.values()
    )


def _sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk. Raise OSError."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
