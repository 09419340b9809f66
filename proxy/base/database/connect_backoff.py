"""The pause after PostgreSQL refused a session."""

from __future__ import annotations

import time
from typing import Final

from proxy.base.errors import DatabaseUnavailable

_PAUSE: Final = (0.1, 2.0)  # seconds until PostgreSQL is asked for a session again: the first and the longest pause


class ConnectBackoff:
    """After a refusal no session is asked for until a pause has passed; the pause doubles with each refusal."""

    def __init__(self) -> None:
        self._pause = _PAUSE[0]
        self._until = 0.0
        self._refusal: DatabaseUnavailable | None = None

    def check(self) -> None:
        """Raise the last refusal during the pause after it."""
        if self._refusal is not None and time.monotonic() < self._until:
            raise DatabaseUnavailable(str(self._refusal), self._refusal.sqlstate)

    def refused(self, error: DatabaseUnavailable) -> None:
        """Begin a pause, twice as long as the one before."""
        self._refusal, self._until = error, time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _PAUSE[1])

    def connected(self) -> None:
        """Forget the refusals: PostgreSQL gave a session."""
        if self._refusal is not None:
            self._refusal, self._pause = None, _PAUSE[0]
