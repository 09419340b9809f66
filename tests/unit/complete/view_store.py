"""A store of views over documents in memory: passes as `proxy.complete.view_attempt` makes them, without PostgreSQL."""

from __future__ import annotations

import itertools
from typing import Final

from proxy.base.errors import ArangoError
from proxy.complete.catalog import (
    ACCOUNT,
    COLLECTION,
    IDENTITY,
    Entries,
    Entry,
    account_entry,
    parse_catalog,
    server_entry,
)
from proxy.complete.catalog_changes import CatalogChanges, catalog_changes
from proxy.complete.collection_view import CollectionView
from proxy.complete.commands import COMMANDS
from proxy.complete.loaded_part import LoadedPart
from proxy.complete.server_view import ServerView, SessionsBefore, TickBlock, keep_sessions, present, view_of
from proxy.devserver.store import dispatch
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.accounts import SYSTEM
from proxy.devserver.store.state.checksum import document_checksum
from proxy.devserver.store.state.collection import id_prefix
from proxy.devserver.store.state.server import RecordedCall, ServerState
from proxy.model import json_reader
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import error_outcome

_TICKS: Final = 1 << 40


class ViewStore:
    """A server whose documents are loaded on demand from a dictionary."""

    def __init__(self) -> None:
        self._sessions = ServerState()
        self._ticks = TickBlock()
        self._ticks.refill(_TICKS, 50_000)
        self._documents: dict[str, dict[str, bytes]] = {}
        self._numbers: dict[str, int] = {}
        self._revisions = itertools.count(self._sessions.clock.tick())
        accounts = self._sessions.accounts
        entries: Entries = {IDENTITY: server_entry("1", "h1", accounts)}
        entries |= {Entry(ACCOUNT, name): account_entry(account) for name, account in accounts.by_name.items()}
        self._catalog = parse_catalog(0, entries, {}, enforced=False)
        view = self._view({}, own_accounts=False)
        view.add_database(SYSTEM)
        self._change(catalog_changes(view, self._catalog, 0))

    @property
    def name(self) -> str:
        return "views"

    async def execute(self, operation: Operation) -> Outcome:
        command = dispatch.command_of(COMMANDS, operation)
        refused = dispatch.refusal(self._view({}, own_accounts=False), operation, command)
        if refused is not None:
            return refused
        called = RecordedCall(self._sessions.now(), operation.method, operation.database, operation.path)
        outcome = self._answer(operation, command)
        self._sessions.calls.append(called)
        return outcome

    def _answer(self, operation: Operation, command: EndpointCommand) -> Outcome:
        parts: dict[str, LoadedPart] = {}
        complete = False
        while not complete:
            view = self._view(parts, own_accounts=command.changes_accounts)
            before = SessionsBefore.of(view)
            outcome = dispatch.answer(view, operation, command)
            complete = self._complete(view)
        changes = catalog_changes(view, self._catalog, next(self._revisions))
        try:
            self._check_new_indexes(changes)
        except ArangoError as error:
            return error_outcome(ArangoError(error.number, error.message, status=400))
        kept = [collection for _, collection in present(view)]
        for seen in view.views.values():
            if seen in kept:
                self._write(seen)
        self._change(changes)
        keep_sessions(view, self._sessions, before)
        return outcome

    def _view(self, parts: dict[str, LoadedPart], *, own_accounts: bool) -> ServerView:
        return view_of(self._catalog, self._sessions, self._ticks, parts, own_accounts=own_accounts)

    def _complete(self, view: ServerView) -> bool:
        """Load what a pass missed; return True if that was nothing."""
        complete = True
        for seen in view.views.values():
            if seen.missing.anything:
                self._load(seen)
                complete = False
            elif seen.changes() and seen.missing.revisions:
                seen.part.revisions = [next(self._revisions) for _ in range(seen.revisions_used)]
                complete = False
        return complete

    def _load(self, seen: CollectionView) -> None:
        part, missing, stored = seen.part, seen.missing, self._documents[seen.stored.qualified]
        if missing.documents:
            part.documents, part.complete = dict(stored), True
        part.documents |= {key: stored.get(key) for key in missing.keys}
        if missing.vertices and not part.complete:
            for key, raw in stored.items():
                edge = json_reader.load(raw)
                if edge["_from"] in missing.vertices or edge["_to"] in missing.vertices:
                    part.documents[key] = raw
            part.vertices |= missing.vertices
        part.count, part.size = len(stored), sum(map(len, stored.values()))
        for index in seen.uniques:
            wanted = missing.values.get(index.id, ())
            held = {value: key for key, raw in stored.items() for value in index.values(json_reader.load(raw))}
            part.holders.setdefault(index.id, {}).update({value: held.get(value) for value in wanted})
        for revisions, data in missing.checksums:
            part.checksums[revisions, data] = 0
            for raw in stored.values():
                part.checksums[revisions, data] ^= document_checksum(
                    json_reader.load(raw), revisions=revisions, data=data
                )
        if missing.state:
            part.newest = part.last_key = part.taken = self._numbers.get(seen.stored.qualified, 0)

    def _write(self, seen: CollectionView) -> None:
        stored, changes = self._documents[seen.stored.qualified], seen.changes()
        if changes.emptied:
            stored.clear()
        for key, raw in changes.documents.items():
            if raw is None:
                stored.pop(key, None)
            else:
                stored[key] = raw
        if seen.numbers_to_take is not None:
            self._numbers[seen.stored.qualified] = seen.numbers_to_take

    def _check_new_indexes(self, changes: CatalogChanges) -> None:
        """Raise ArangoError 1210 if documents violate a new index, as PostgreSQL tests it."""
        for made in changes.made_indexes:
            entries: dict[bytes, str] = {}
            for key, raw in sorted(self._documents[made.relation].items()):
                made.index.check(entries, key, json_reader.load(raw))
                made.index.claim(entries, key, json_reader.load(raw))

    def _change(self, changes: CatalogChanges) -> None:
        for name in changes.dropped:
            del self._documents[name]
            self._numbers.pop(name, None)
        for former, renamed in changes.renamed.items():
            old, new = id_prefix(former.partition("/")[2]), id_prefix(renamed.name)
            documents = self._documents.pop(former)
            name = f"{former.partition('/')[0]}/{renamed.name}"
            self._documents[name] = {key: raw.replace(old, new, 1) for key, raw in documents.items()}
            self._numbers[name] = self._numbers.pop(former, 0)
        for made in changes.created:
            self._documents[made.qualified] = dict(made.collection.documents)
        entries = {entry: raw for entry, raw in self._catalog.entries.items() if entry not in changes.forget}
        entries |= changes.note
        relations = {name: name for kind, name in entries if kind == COLLECTION}
        self._catalog = parse_catalog(self._catalog.version + 1, entries, relations, enforced=False)
