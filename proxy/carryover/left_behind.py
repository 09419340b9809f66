"""What the system collections of ArangoDB's databases hold that PostgreSQL does not serve, by name.

Graph definitions are documents of `_graphs`, and move as the documents of every collection do: if it is mirrored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.base.arango_client import OriginClient
from proxy.routing.scope import GRAPHS

_NOT_SERVED: Final[Mapping[str, str]] = {
    "_analyzers": "custom analyzers",
    "_apps": "Foxx services",
    "_appbundles": "bundles of Foxx services",
    "_aqlfunctions": "user-defined AQL functions",
    "_jobs": "jobs of Foxx queues",
    "_queues": "Foxx queues",
    "_modules": "JavaScript modules",
    "_routing": "routes of JavaScript actions",
}
_CODE: Final = ("_apps", "_aqlfunctions")  # of those, what runs on ArangoDB at a client's request
_DEFAULT_QUEUE: Final = 1  # every database has the queue `default`


@dataclass(frozen=True, slots=True)
class DatabaseContents:
    """What a database has beside documents. system: how many documents each system collection holds; views: names."""

    name: str
    system: Mapping[str, int]
    views: tuple[str, ...] = ()


async def read_contents(origin: OriginClient, database: str) -> DatabaseContents:
    """Return what a database of ArangoDB has. Raise UpstreamError, ArangoError."""
    asked = {*_NOT_SERVED, GRAPHS}
    names = [one.name for one in await origin.collections(database) if one.name in asked]
    system = {name: await origin.count(database, name) for name in names}
    return DatabaseContents(database, system, await origin.views(database))


async def read_services(origin: OriginClient, database: str) -> tuple[str, ...]:
    """Return, in words, the code of clients that a database of ArangoDB runs. Raise UpstreamError, ArangoError."""
    names = {one.name for one in await origin.collections(database)}
    counts = {name: await origin.count(database, name) for name in _CODE if name in names}
    return tuple(f"{_NOT_SERVED[name]} of {database} ({count})" for name, count in counts.items() if count)


def left_behind(contents: DatabaseContents, mirrored: Collection[str]) -> tuple[str, ...]:
    """Return, in words, what PostgreSQL alone lacks of a database. mirrored: collections, as `database/name`. Pure."""
    return tuple(_sentences(contents, mirrored))


def _sentences(contents: DatabaseContents, mirrored: Collection[str]) -> Iterator[str]:
    graphs = f"{contents.name}/{GRAPHS}"
    if contents.system.get(GRAPHS) and graphs not in mirrored:
        yield f"{contents.system[GRAPHS]} graph definitions: mirror {graphs} to keep them"
    for name, what in _NOT_SERVED.items():
        count = contents.system.get(name, 0)
        if count > (_DEFAULT_QUEUE if name == "_queues" else 0):
            yield f"{what}: {count} in {contents.name}/{name}"
    if contents.views:
        yield f"views of {contents.name}: {', '.join(contents.views)}"
