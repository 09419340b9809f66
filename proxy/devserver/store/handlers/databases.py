"""The database endpoints."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state import log
from proxy.devserver.store.state.accounts import Level, grant
from proxy.devserver.store.state.server import ServerState
from proxy.model.documents import normalized, valid_database
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import body_object
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def list_all(server: ServerState, operation: Operation) -> Outcome:
    _only_system(server, operation)
    return done(operation, {"result": list(server.databases)})


def list_accessible(server: ServerState, operation: Operation) -> Outcome:
    """List the databases that the user may open."""
    server.database(operation)
    who = access.identity(server, operation)
    shown = [name for name in server.databases if server.accounts.database(who, name) is not Level.NONE]
    return done(operation, {"result": shown})


def current(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    return done(
        operation,
        {"result": {"name": database.name, "id": database.id, "isSystem": database.name == "_system", "path": "none"}},
    )


def create(server: ServerState, operation: Operation) -> Outcome:
    _only_system(server, operation)
    body = body_object(operation)
    name = body.get("name")
    if isinstance(name, str) and not normalized(name):
        raise ArangoError(1208, "database name is not properly UTF-8 NFC-normalized")
    if not isinstance(name, str) or not valid_database(name):
        raise ArangoError(1229, "database name invalid")
    if name in server.databases:
        raise ArangoError(1207, f"duplicate database name '{name}'")
    users = _users_of(body)
    server.add_database(name)
    _give(server, name, users)
    server.log.change(log.DATABASE_CREATE, name, data={"name": name, "id": server.databases[name].id})
    return json_outcome(201, {"error": False, "code": 201, "result": True})


def _users_of(body: Document) -> list[Document]:
    """Return the users that a new database is given to. Raise ArangoError 10."""
    given = body.get("users") or []
    if not isinstance(given, list) or not all(
        isinstance(user, dict) and isinstance(user.get("username", user.get("user")), str) for user in given
    ):
        raise ArangoError(10, "expecting an array of users with names")
    return given


def _give(server: ServerState, name: str, users: list[Document]) -> None:
    """Grant the new database to the users; unknown ones are created.

    The creator, an administrator, gets no level on it, and has the access that `*` and `_system` give.
    """
    accounts = server.accounts
    for user in users:
        known = str(user.get("username", user.get("user")))
        if known not in accounts.by_name:
            password, extra = user.get("passwd"), user.get("extra")
            accounts.create(
                known,
                password if isinstance(password, str) else "",
                active=user.get("active") is not False,
                extra=extra if isinstance(extra, dict) else None,
            )
        grant(accounts.by_name[known], name, "", Level.RW)
    accounts.changed()


def drop(server: ServerState, operation: Operation) -> Outcome:
    _only_system(server, operation)
    name = operation.path[2]
    if name not in server.databases:
        raise ArangoError(1228)
    if name == "_system":
        raise ArangoError(11, "forbidden")
    dropped = server.databases.pop(name)
    for number, transaction in list(server.transactions.items()):
        if transaction.database is dropped:
            del server.transactions[number]
    server.cursors = {number: cursor for number, cursor in server.cursors.items() if cursor.database != name}
    server.log.change(log.DATABASE_DROP, name)
    return done(operation, {"result": True})


def _only_system(server: ServerState, operation: Operation) -> None:
    server.database(operation)
    if operation.database != "_system":
        raise ArangoError(1230, "operation only allowed in system database")


COMMANDS: Final = {
    "database.list": EndpointCommand(list_all),
    "database.user": EndpointCommand(list_accessible),
    "database.current": EndpointCommand(current),
    "database.create": EndpointCommand(create, access.database_change, changes_accounts=True),
    "database.drop": EndpointCommand(drop, access.database_change),
}
