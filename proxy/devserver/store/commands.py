"""EndpointCommand: what a module of `handlers` declares for each endpoint that it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.devserver.store import access
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome

Handler = Callable[[ServerState, Operation], Outcome]


@dataclass(frozen=True, slots=True)
class EndpointCommand:
    """The handler of one endpoint, and its conditions.

    access: the rule that is checked first if the server limits access. dirty_read: the answer says that it may be a
    dirty read, if the client allows one. shows_conflict: a conflict of a single document is answered with its revision.
    changes_accounts: it may change users, their rights or the server's mode. counts: it needs the number of documents
    of the collection that it names, and nothing else of them. of_transaction: of an endpoint of a collection, that it
    shows what the transaction has which the request names; the others show what is committed.
    """

    run: Handler
    access: access.Rule = access.database_read
    dirty_read: bool = False
    shows_conflict: bool = False
    changes_accounts: bool = False
    counts: bool = False
    of_transaction: bool = False
