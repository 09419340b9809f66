"""The entries of a unique index, of which only a part is loaded. Values only: `loading` fills them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DemandEntries(dict[bytes, str]):
    """Keys by the encoded values that their documents have: a look-up of a value that is not known is noted.

    known: what was looked up; None: no document has the value. missing: the values to look up.
    """

    def __init__(self, known: Mapping[bytes, str | None], missing: set[bytes]) -> None:
        super().__init__((value, key) for value, key in known.items() if key is not None)
        self._known = set(known)
        self._missing = missing
        self._empty = False

    def learn(self, value: bytes, key: str) -> None:
        """Enter a value of a loaded document, which it has unless another one took it since."""
        if value not in self._known:
            self[value] = key

    def remove_all(self) -> None:
        """Remove every entry, loaded or not."""
        dict.clear(self)
        self._empty = True

    def get(self, value: bytes, default: Any = None) -> Any:
        found = dict.get(self, value)
        if found is not None:
            return found
        if value not in self._known and not self._empty:
            self._missing.add(value)
        return default

    def __setitem__(self, value: bytes, key: str) -> None:
        self._known.add(value)
        super().__setitem__(value, key)
