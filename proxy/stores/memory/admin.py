"""What the server says of itself, users, and authentication, which is accepted and not checked."""

from __future__ import annotations

import time
from typing import Any, Final

from proxy.errors import ArangoError
from proxy.operations import Operation, Outcome
from proxy.stores.memory.collections import body_object, done
from proxy.stores.memory.documents import flag
from proxy.stores.memory.server import VERSION, Handler, Server
from proxy.wire.auth import make_token, user_of
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def version(_server: Server, operation: Operation) -> Outcome:
    shown: Document = {
        "server": "arango",
        "license": "community",
        "version": VERSION,
        "apiVersions": ["v0"],
        "deprecatedApiVersions": [],
        "requestedApiVersion": "v0",
    }
    if flag(operation.params, "details"):
        shown["details"] = {"mode": "server", "server-version": VERSION, "host": "", "maintainer-mode": "false"}
    return json_outcome(200, shown)


def engine(_server: Server, _operation: Operation) -> Outcome:
    kinds = ["primary", "edge", "hash", "skiplist", "ttl", "persistent", "geo", "fulltext", "mdi", "mdi-prefixed"]
    supports = {"indexes": kinds, "aliases": {"indexes": {"skiplist": "persistent", "hash": "persistent"}}}
    return json_outcome(200, {"name": "rocksdb", "supports": supports, "endianness": "little"})


def status(server: Server, _operation: Operation) -> Outcome:
    return json_outcome(
        200,
        {
            "server": "arango",
            "license": "community",
            "version": VERSION,
            "mode": "server",
            "operationMode": "server",
            "foxxApi": False,
            "host": "",
            "pid": 0,
            "serverInfo": {
                "progress": {"phase": "in wait", "feature": "", "recoveryTick": 0},
                "maintenance": False,
                "role": "SINGLE",
                "writeOpsEnabled": True,
                "readOnly": False,
                "serverId": server.id,
            },
        },
    )


def clock(server: Server, operation: Operation) -> Outcome:
    return done(operation, {"time": round(server.now(), 6)})


def role(_server: Server, operation: Operation) -> Outcome:
    return done(operation, {"mode": "default", "role": "SINGLE"})


def availability(_server: Server, operation: Operation) -> Outcome:
    return done(operation, {"mode": "default"})


def identity(_server: Server, _operation: Operation) -> Outcome:
    raise ArangoError(500, "not a cluster member")


def endpoints(_server: Server, _operation: Operation) -> Outcome:
    raise ArangoError(403, "only callable on coordinators", status=403)


def metrics(server: Server, _operation: Operation) -> Outcome:
    text = (
        "# HELP arangodb_server_statistics_server_uptime_total Number of seconds elapsed since server start.\n"
        "# TYPE arangodb_server_statistics_server_uptime_total counter\n"
        f"arangodb_server_statistics_server_uptime_total {server.now() - server.started:.6f}\n"
    )
    return Outcome(200, text.encode(), (), b"text/plain; version=0.0.4")


# ---- authentication


def authenticate(server: Server, operation: Operation) -> Outcome:
    """POST /_open/auth: a token for whoever asks; 400 without a name, as in ArangoDB."""
    body = body_object(operation)
    user = body.get("username")
    if not isinstance(user, str) or not user or not isinstance(body.get("password", ""), str):
        raise ArangoError(400, "bad parameter", status=400)
    return json_outcome(200, {"jwt": make_token(user, server.secret, time.time())})


def renew(server: Server, operation: Operation) -> Outcome:
    user = user_of(operation.headers.get("authorization")) or "root"
    return json_outcome(200, {"jwt": make_token(user, server.secret, time.time())})


# ---- users


def list_users(server: Server, operation: Operation) -> Outcome:
    return done(operation, {"result": list(server.users.values())})


def create_user(server: Server, operation: Operation) -> Outcome:
    body = body_object(operation)
    name = body.get("user")
    if not isinstance(name, str) or not name:
        raise ArangoError(1700, "invalid user name", status=400)
    if name in server.users:
        raise ArangoError(1702, "duplicate user", status=409)
    return _save_user(server, name, body, 201)


def read_user(server: Server, operation: Operation) -> Outcome:
    return _user(_existing(server, operation.path[2]), 200)


def replace_user(server: Server, operation: Operation) -> Outcome:
    name = operation.path[2]
    _existing(server, name)
    return _save_user(server, name, body_object(operation), 200)


def update_user(server: Server, operation: Operation) -> Outcome:
    name = operation.path[2]
    return _save_user(server, name, {**_existing(server, name), **body_object(operation)}, 200)


def remove_user(server: Server, operation: Operation) -> Outcome:
    name = operation.path[2]
    _existing(server, name)
    del server.users[name]
    server.permissions.pop(name, None)
    return json_outcome(202, {"error": False, "code": 202})


def permission(server: Server, operation: Operation) -> Outcome:
    """`/_api/user/{user}/database[/{db}[/{collection}]]`: read, set and clear levels of access."""
    name, below = operation.path[2], operation.path[3:]
    _existing(server, name)
    if below[:1] != ("database",):
        return done(operation, {"result": {}})
    levels = server.permissions.setdefault(name, {})
    place = "/".join(below[1:])
    if operation.method == "GET":
        if not place:
            return done(
                operation, {"result": {database: levels.get(database, "none") for database in server.databases}}
            )
        return done(operation, {"result": levels.get(place, levels.get("*", "none"))})
    if operation.method == "PUT":
        grant = body_object(operation).get("grant")
        if grant not in ("rw", "ro", "none"):
            raise ArangoError(10, "expecting JSON object with key 'grant'")
        levels[place] = grant
        return json_outcome(200, {place: grant, "error": False, "code": 200})
    levels.pop(place, None)
    return json_outcome(202, {"error": False, "code": 202})


def _existing(server: Server, name: str) -> Document:
    found = server.users.get(name)
    if found is None:
        raise ArangoError(1703, "user not found")
    return found


def _save_user(server: Server, name: str, body: Document, code: int) -> Outcome:
    extra = body.get("extra")
    shown = {"user": name, "active": bool(body.get("active", True)), "extra": extra if isinstance(extra, dict) else {}}
    server.users[name] = shown
    return _user(shown, code)


def _user(shown: Document, code: int) -> Outcome:
    return json_outcome(code, {**shown, "error": False, "code": code})


HANDLERS: Final[dict[str, Handler]] = {
    "version": version,
    "engine": engine,
    "admin.status": status,
    "admin.time": clock,
    "admin.role": role,
    "admin.availability": availability,
    "admin.mode": availability,
    "admin.id": identity,
    "admin.metrics": metrics,
    "cluster.endpoints": endpoints,
    "auth.open": authenticate,
    "auth.renew": renew,
    "user.list": list_users,
    "user.create": create_user,
    "user.read": read_user,
    "user.replace": replace_user,
    "user.update": update_user,
    "user.remove": remove_user,
    "user.permission": permission,
}
