"""The segments of one journal, the oldest first, and which of their files are open."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator
from pathlib import Path

from proxy.base.errors import JournalError
from proxy.journal.manifest import JournalManifest
from proxy.journal.segment import Segment


class SegmentList:
    """Knows the segment of an intent, begins new ones, removes those with nothing open. `manifest` lists them too.

    current: the one that new intents go to; None while the journal is closed.
    """

    def __init__(self, folder: Path, manifest: JournalManifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._segments: list[Segment] = []
        self._bases: list[int] = []
        self._awake: Segment | None = None  # an older segment whose file is open
        self.current: Segment | None = None

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __getitem__(self, index: int) -> Segment:
        return self._segments[index]

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def bases(self) -> list[int]:
        """The first number of each."""
        return self._bases

    def of(self, seq: int) -> Segment:
        """Return the segment that has this intent."""
        current = self.current
        if current is not None and seq >= current.base:
            return current
        return self._segments[bisect.bisect_right(self._bases, seq) - 1]

    def add(self, segment: Segment) -> None:
        """Append a segment; it is the current one from now on."""
        self._segments.append(segment)
        self._bases.append(segment.base)
        self.current = segment

    def begin(self, base: int) -> Segment:
        """Append a new segment, listed before anything is in it. Raise JournalError."""
        segment = Segment.create(self._folder, base)
        try:
            self._manifest.add(base)
        except JournalError:
            segment.drop()
            raise
        self.add(segment)
        return segment

    def rotate(self) -> Segment:
        """Begin the segment after the current one. Raise JournalError, and then nothing has changed."""
        full = self.current
        assert full is not None
        following = self.begin(full.base + len(full.state))
        if full.open == 0:
            self.drop(full)
        else:
            with contextlib.suppress(JournalError):
                full.flush()
            self.wake(following)
            full.rest()
        return following

    def wake(self, segment: Segment) -> None:
        """Call before a segment is read or written: at most one file beside the current one is open."""
        if self._awake is not segment and self._awake is not None and self._awake is not self.current:
            self._awake.rest()
        self._awake = segment

    def drop(self, segment: Segment) -> None:
        """Remove a segment in which nothing is open, with its file."""
        index = bisect.bisect_left(self._bases, segment.base)
        del self._segments[index], self._bases[index]
        if self._awake is segment:
            self._awake = None
        self._manifest.drop(segment.base)
        segment.drop()

    def clear(self) -> None:
        """Forget all of them; their files stay."""
        self._segments, self._bases, self.current, self._awake = [], [], None, None
