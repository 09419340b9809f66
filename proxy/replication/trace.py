"""The knowledge of one instance about one document: open intents, changes in memory, versions applied recently."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from proxy.base.errors import JournalError
from proxy.journal.intent import Intent
from proxy.journal.intent_index import IntentIndex
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite
from proxy.replication.applier import Queue
from proxy.replication.recent_applies import RecentApplies

_INTENTS: Final = 2000  # of the journal that are searched: a few milliseconds


def known(
    collection: str,
    key: str,
    *,
    book: IntentIndex,
    queue: Queue,
    journal: Journal,
    orphans: Iterable[Intent],
    recent: RecentApplies,
) -> dict[str, object]:
    """Return it as JSON. Times: seconds since the epoch. Revisions as text, since they need 64 bits.

    open: intents that name the document. unkeyed: open intents of its collection that may concern it, whose keys are in
    the journal alone or unknown. intents: those of both kinds among the oldest few thousand, in full.
    """
    found = []
    with contextlib.suppress(JournalError):
        found = [
            {"number": note.seq, "taken": note.time, "stamp": note.stamp, "key_known": bool(note.write.keys)}
            for note in journal.sample(_INTENTS)
            if note.collection == collection
            and isinstance(note.write, DocumentWrite)
            and (not note.write.keys or key in note.write.keys)
        ]
    return {
        "collection": collection,
        "key": key,
        "open": book.held(collection, key),
        "unkeyed": book.unkeyed(collection),
        "intents": found,
        "unnoted": sum(1 for intent in orphans if intent.collection == collection and key in intent.keys),
        "queued": [
            {"revision": str(change.rev), "removed": change.raw is None, "taken": intent.taken, "trace": intent.trace}
            for change, intent in queue.of(collection)
            if change.key == key
        ],
        "applied": [
            {
                "revision": str(item.rev) if item.rev else None,
                "removed": item.removed,
                "taken": item.taken,
                "applied": item.applied,
                "how": item.how,
                "trace": item.trace,
            }
            for item in recent.of(collection, key)
        ],
    }
