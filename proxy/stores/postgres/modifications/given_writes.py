"""Statements with given rows, and the keys of new documents: numbers that were taken, of the collection's generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import sql
from proxy.aql.compile.writes import CompiledWrite
from proxy.aql.requests import QueryOptions
from proxy.base.database import Session
from proxy.stores.postgres.modifications.attempt import ModificationQuery
from proxy.stores.postgres.modifications.given_rows import BoundWrite, NotExactError, bound, computed_rows
from proxy.stores.postgres.modifications.prepared import Prepared, RepeatError
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, ReservedNumbers
from proxy.stores.postgres.writes.properties import Properties, parse_properties

NO_KEY: Final = "23502"  # not_null_violation: a document to insert has no key, since none was expected to be inserted


async def shown(plan: CompiledWrite, binds: Mapping[str, Any], properties: Properties) -> CompiledWrite:
    """Return the statement with parameters as they might be. Raise NotExactError."""
    assert plan.given is not None
    rows = await computed_rows(plan.given, binds, QueryOptions())
    numbers = ReservedNumbers(properties.key_options, NumberRange(0, 1 << 62), [])
    return (await bound(plan, rows, binds, numbers, properties.uniques, makes_keys=True)).plan


class GivenWrites:
    """Binds statements to their rows. It remembers the properties of collections, which the fence's row compares."""

    def __init__(self) -> None:
        self._properties: dict[str, Properties] = {}

    async def bound(self, session: Session, query: ModificationQuery, prepared: Prepared) -> BoundWrite:
        """Return the statement with its parameters. Raise NotExactError, RepeatError if it lacks numbers for keys."""
        (name,) = query.writes
        plan, numbers = prepared.plan, prepared.numbers.get(name, NumberRange())
        assert plan is not None
        assert plan.given is not None
        collection = f"{query.database}/{name}"
        properties = await self._properties_of(session, collection)
        if numbers.number not in (0, properties.number):  # one of them is of a former collection of that name
            self.forget(collection)
            properties = await self._properties_of(session, collection)
        if numbers.number != properties.number:
            numbers = NumberRange()
        generator = ReservedNumbers(properties.key_options, numbers, [])
        makes_keys = plan.given.change is None or numbers.end > numbers.start or generator.kind == "uuid"
        found = await bound(plan, prepared.rows, query.binds, generator, properties.uniques, makes_keys=makes_keys)
        if query.inside and found.unchanged:
            raise NotExactError("documents that stay as they are, which other transactions may have")
        needed = generator.needed
        if needed is not None:
            raise RepeatError({}, {name: needed})
        return replace(found, properties=properties.text)

    def forget(self, collection: str) -> None:
        """Forget the properties of a collection, which are others now."""
        self._properties.pop(collection, None)

    async def _properties_of(self, session: Session, collection: str) -> Properties:
        known = self._properties.get(collection)
        if known is None:
            text = await session.fetchrow(sql.writes.PROPERTIES, collection)
            known = self._properties[collection] = parse_properties(text or "{}")
        return known
