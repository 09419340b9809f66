"""The state of a server as one request sees it, for one pass.

A ServerView is a ServerState that the handlers change freely: it is made of a ServerCatalog, of what was loaded of
documents, and of the sessions of this process (cursors, jobs, queries), which it shares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.complete.catalog import ServerCatalog, StoredCollection, parse_accounts
from proxy.complete.collection_view import CollectionView
from proxy.complete.lazy_collections import LazyCollections
from proxy.complete.loaded_part import LoadedPart
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.log import MarkerLog
from proxy.devserver.store.state.server import ServerState


class NoMoreTicks(Exception):
    """The pass needs more numbers than this process has taken from PostgreSQL."""


class TickBlock:
    """Numbers that no other process gets. A number that a pass took is not given again."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()

    @property
    def left(self) -> int:
        return len(self._numbers)

    def refill(self, last: int, size: int) -> None:
        """Add the `size` numbers up to `last`."""
        self._numbers.extend(range(last - size + 1, last + 1))

    def clear(self) -> None:
        """Give the numbers up that are left."""
        self._numbers.clear()

    def take(self) -> int:
        """Return a number. Raise NoMoreTicks."""
        if not self._numbers:
            raise NoMoreTicks
        return self._numbers.popleft()


class RepeatedTicks(TickBlock):
    """Numbers of one attempt: each of its passes gets the same ones, so that what it makes has the same number."""

    def __init__(self, block: TickBlock) -> None:
        super().__init__()
        self._block = block
        self._taken: list[int] = []
        self._used = 0

    def begin_pass(self) -> None:
        """Continue with the first number."""
        self._used = 0

    def take(self) -> int:
        """Return a number. Raise NoMoreTicks."""
        if self._used == len(self._taken):
            self._taken.append(self._block.take())
        self._used += 1
        return self._taken[self._used - 1]


class SilentLog(MarkerLog):
    """A write-ahead log that keeps nothing: PostgreSQL's own takes its place."""

    def __init__(self) -> None:
        super().__init__(int)

    def document(self, database: str, collection: str, key: str, raw: bytes | None, old: bytes | None) -> None:
        pass

    def change(self, kind: int, database: str, collection: str = "", data: Any = None) -> None:
        pass


@dataclass(slots=True, eq=False)
class ServerView(ServerState):
    """The state of one pass. views: those of the catalog's collections that it has touched, by id."""

    ticks: TickBlock = field(default_factory=TickBlock)
    views: dict[str, CollectionView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = SilentLog()

    def tick(self) -> int:
        return self.ticks.take()


def view_of(
    catalog: ServerCatalog, sessions: ServerState, ticks: TickBlock, parts: dict[str, LoadedPart], *, own_accounts: bool
) -> ServerView:
    """Return the state for one pass. parts: what is loaded, by the id of the collection; new ones are added.

    sessions: the state of this process. own_accounts: the pass may change accounts, so that it gets copies.
    """
    accounts = catalog.accounts
    if own_accounts:
        accounts = parse_accounts(catalog.entries, enforced=accounts.enforced)
    view = ServerView(
        sessions.clock,
        sessions.now,
        catalog.server_id,
        catalog.guid,
        {},
        dict(sessions.cursors),
        sessions.transactions,
        sessions.jobs,
        sessions.batches,
        sessions.dumps,
        accounts,
        sessions.settings,
        running=sessions.running,
        slow=sessions.slow,
        calls=sessions.calls.copy(),  # each pass adds its request
        ids=sessions.ids,
        ticks=ticks,
    )
    view.started = sessions.started

    def seen(stored: StoredCollection) -> CollectionView:
        number = stored.properties.id
        view.views[number] = CollectionView.of(stored, parts.setdefault(number, LoadedPart()))
        return view.views[number]

    for name, number in catalog.databases.items():
        view.databases[name] = ServerDatabase(name, number, LazyCollections(catalog.collections[name], seen))
    return view


@dataclass(frozen=True, slots=True)
class SessionsBefore:
    """The cursors and the slow queries that a pass began with."""

    cursors: Mapping[str, object]
    slow: Sequence[object]

    @classmethod
    def of(cls, view: ServerView) -> SessionsBefore:
        """Return those of a view before its pass."""
        return cls(dict(view.cursors), view.slow)


def keep_sessions(view: ServerView, sessions: ServerState, before: SessionsBefore) -> None:
    """Let the process have the cursors and slow queries of a pass that counts, beside those of other requests."""
    for number in before.cursors.keys() - view.cursors.keys():
        sessions.cursors.pop(number, None)
    for number in view.cursors.keys() - before.cursors.keys():
        sessions.cursors[number] = view.cursors[number]
    known, kept = set(map(id, before.slow)), set(map(id, view.slow))
    others = [one for one in sessions.slow if id(one) not in known or id(one) in kept]
    sessions.slow = others + [one for one in view.slow if id(one) not in known]


def present(view: ServerView) -> Iterator[tuple[str, Collection | StoredCollection]]:
    """Yield every collection with its database: a StoredCollection if the pass has not touched it."""
    for name, database in view.databases.items():
        collections = database.collections
        found = collections.present() if isinstance(collections, LazyCollections) else collections.values()
        for collection in found:
            yield name, collection
