"""The database endpoints, and the endpoints of indexes."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access, indexes, log
from proxy.devserver.store.accounts import Level, grant
from proxy.devserver.store.collections import body_object, done
from proxy.devserver.store.documents import flag
from proxy.devserver.store.server import Handler, Server
from proxy.model.documents import normalized, valid_database
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def list_all(server: Server, operation: Operation) -> Outcome:
    _only_system(server, operation)
    return done(operation, {"result": list(server.databases)})


def list_accessible(server: Server, operation: Operation) -> Outcome:
    """What the user may open."""
    server.database(operation)
    who = access.identity(server, operation)
    shown = [name for name in server.databases if server.accounts.database(who, name) is not Level.NONE]
    return done(operation, {"result": shown})


def current(server: Server, operation: Operation) -> Outcome:
    database = server.database(operation)
    return done(
        operation,
        {"result": {"name": database.name, "id": database.id, "isSystem": database.name == "_system", "path": "none"}},
    )


def create(server: Server, operation: Operation) -> Outcome:
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
    """The users that a new database is given to. Raises ArangoError 10."""
    given = body.get("users") or []
    if not isinstance(given, list) or not all(
        isinstance(user, dict) and isinstance(user.get("username", user.get("user")), str) for user in given
    ):
        raise ArangoError(10, "expecting an array of users with names")
    return given


def _give(server: Server, name: str, users: list[Document]) -> None:
    """The new database is the users': those that are unknown are made.

    Its creator, an administrator, keeps the access that `*` and `_system` give: no level of their own for it.
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


def drop(server: Server, operation: Operation) -> Outcome:
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


def _only_system(server: Server, operation: Operation) -> None:
    server.database(operation)
    if operation.database != "_system":
        raise ArangoError(1230, "operation only allowed in system database")


# ---- indexes


def list_indexes(server: Server, operation: Operation) -> Outcome:
    collection = server.database(operation).find(_collection_parameter(operation))
    shown = [index.definition(collection.name) for index in collection.indexes]
    if flag(operation.params, "withStats"):
        for definition in shown:
            definition["figures"] = {"memory": 0, "cacheInUse": False, "cacheSize": 0, "cacheUsage": 0}
    return done(operation, {"indexes": shown, "identifiers": {definition["id"]: definition for definition in shown}})


def create_index(server: Server, operation: Operation) -> Outcome:
    """201 for a new index, 200 for one that is there already."""
    database = server.database(operation)
    collection = database.find(_collection_parameter(operation))
    body = body_object(operation)
    wanted = indexes.define(body, server.tick(), f"idx_{server.clock.tick()}")
    if wanted.kind not in ("persistent", "hash", "skiplist") or not collection.edge:
        found = next((index for index in collection.indexes if index.same_as(wanted)), None)
    else:
        found = next((index for index in collection.indexes[1:] if index.same_as(wanted)), None)
    code = 201 if found is None else 200
    if found is None:
        if any(index.name == wanted.name for index in collection.indexes):
            raise ArangoError(1207, f"duplicate value for `name`: {wanted.name}")
        try:
            collection.add_index(wanted)
        except ArangoError as error:  # a definition that the documents break is a bad request, not a conflict
            raise ArangoError(error.number, error.message, status=400) from error
        found = wanted
        cuid = f"{server.guid}/{collection.id}"
        server.log.change(log.INDEX_CREATE, database.name, cuid, found.definition(collection.name))
    shown: dict[str, Any] = {**found.definition(collection.name), "isNewlyCreated": code == 201}
    return json_outcome(code, {**dict(sorted(shown.items())), "code": code, "error": False})


def read_index(server: Server, operation: Operation) -> Outcome:
    collection = server.database(operation).find(operation.collection or "")
    found = collection.find_index(operation.path[3])
    return json_outcome(200, {**found.definition(collection.name), "code": 200, "error": False})


def selectivity(server: Server, operation: Operation) -> Outcome:
    """The estimates of all indexes of a collection, which here are always 1."""
    collection = server.database(operation).find(_collection_parameter(operation))
    shown = {f"{collection.name}/{index.id}": 1 for index in collection.indexes}
    return done(operation, {"indexes": shown})


def drop_index(server: Server, operation: Operation) -> Outcome:
    database = server.database(operation)
    collection = database.find(operation.collection or "")
    found = collection.find_index(operation.path[3])
    if found.kind in ("primary", "edge"):
        raise ArangoError(11, "forbidden")
    collection.indexes.remove(found)
    name = f"{collection.name}/{found.id}"
    server.log.change(log.INDEX_DROP, database.name, f"{server.guid}/{collection.id}", {"id": found.id})
    return json_outcome(200, {"id": name, "error": False, "code": 200})


def _collection_parameter(operation: Operation) -> str:
    name = operation.params.get("collection")
    if not name:
        raise ArangoError(1203, "collection or view not found")
    return name


HANDLERS: Final[dict[str, Handler]] = {
    "database.list": list_all,
    "database.user": list_accessible,
    "database.current": current,
    "database.create": create,
    "database.drop": drop,
    "index.list": list_indexes,
    "index.create": create_index,
    "index.read": read_index,
    "index.drop": drop_index,
    "index.selectivity": selectivity,
}
