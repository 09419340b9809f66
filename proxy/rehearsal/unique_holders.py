"""Documents that have a value of a unique index, as far as rehearsed writes have shown them. Bounded.

It only proposes documents that the rules might refuse another one for: whether they have the value is looked up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from proxy.model import json_reader
from proxy.rehearsal.observed import AnsweredDocument
from proxy.semantics.unique_index import UniqueIndex

_MOST: Final = 20_000  # values
_LONGEST: Final = 512  # bytes of one that is kept


class UniqueHolders:
    """The keys of documents by (collection, number of the index, value): those that were written last."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str, bytes], str] = OrderedDict()

    def candidates(
        self, collection: str, indexes: Sequence[UniqueIndex], answered: Sequence[AnsweredDocument]
    ) -> list[str]:
        """Return the keys of documents that may have a value of a document which was written."""
        found: dict[str, None] = {}
        for one in answered:
            for place in _places(collection, indexes, one.new):
                key = self._known.get(place)
                if key is not None and key != one.key:
                    found[key] = None
        return list(found)

    def learn(self, collection: str, indexes: Sequence[UniqueIndex], answered: Sequence[AnsweredDocument]) -> None:
        """Note the values of the documents that an answer shows."""
        for one in answered:
            if one.refused:
                continue
            for place in _places(collection, indexes, one.old):
                if self._known.get(place) == one.key:
                    del self._known[place]
            for place in _places(collection, indexes, one.new):
                self._known[place] = one.key
                self._known.move_to_end(place)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def _places(collection: str, indexes: Sequence[UniqueIndex], raw: Any) -> Iterator[tuple[str, str, bytes]]:
    text = bytes(raw)
    if not text:
        return
    document = json_reader.load(text)
    if not isinstance(document, dict):
        return
    for index in indexes:
        for value in index.values(document):
            if len(value) <= _LONGEST:
                yield collection, index.id, value
