"""The properties of a collection that its writes must follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.model import json_reader
from proxy.semantics.computed_values import computed_values_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.unique_index import UniqueIndex, uniques_of


@dataclass(frozen=True, slots=True)
class Properties:
    """text: as PostgreSQL has them, so that a change is noticed. number: the collection's id, where made keys begin.

    A new collection's first key is not 1, which users may want to give, but a number of the server as in ArangoDB.
    """

    text: str
    schema: dict[str, Any] | None
    wait_for_sync: bool
    key_options: dict[str, Any]
    uniques: tuple[UniqueIndex, ...]
    computed: list[dict[str, Any]] | None
    number: int = 0

    def generator(self, last: int) -> KeyGenerator:
        """Return the key generator whose largest number is `last`."""
        generator = KeyGenerator(self.key_options, lambda: self.number)
        generator.last = last
        return generator


def parse_properties(text: str) -> Properties:
    """Return properties from the JSON object that PostgreSQL has, by the names that ArangoDB shows.

    Raise ArangoError 10 for computed values that ArangoDB would refuse.
    """
    values = json_reader.load(text.encode())
    return Properties(
        text,
        values.get("schema"),
        bool(values.get("waitForSync", False)),
        values.get("keyOptions") or {},
        uniques_of(values.get("indexes", ())),
        computed_values_of(values),
        int(values.get("id", 0)),
    )
