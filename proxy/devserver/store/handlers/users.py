"""`/_open/auth`, `/_api/user` and `/_api/token`: authentication, users, their rights, access tokens.

Administrators see and change all users, a user only itself (except its rights). If the server does not enforce
authentication, every request is an administrator's, and `/_open/auth` does not exist. Protocol page, section 7.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.accounts import (
    Account,
    Level,
    collection_level,
    database_level,
    grant,
    hash_token,
    level_of,
    revoke,
)
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import body_object, flag
from proxy.wire.auth import make_token
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_TOKEN_LIFE: Final = 90 * 24 * 3600  # seconds
_DONE: Final = {"error": False, "code": 202}
_UNDEFINED: Final = "undefined"  # how a level that was not given is shown


# ---- authentication


def authenticate(server: ServerState, operation: Operation) -> Outcome:
    """POST /_open/auth: return a token for a user's name and password."""
    _wanted(server, operation)
    body = body_object(operation)
    name, password = body.get("username", ""), body.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise ArangoError(400, "invalid JSON")
    user = server.accounts.login(name, password, server.now())
    if user is None:
        raise ArangoError(401, "Wrong credentials")
    return json_outcome(200, {"jwt": make_token(user, server.accounts.secret, server.now())})


def renew(server: ServerState, operation: Operation) -> Outcome:
    """POST /_open/auth/renew: return another token to a user who has a valid one."""
    _wanted(server, operation)
    who = access.identity(server, operation)
    return json_outcome(200, {"jwt": make_token(who.user, server.accounts.secret, server.now())})


def _wanted(server: ServerState, operation: Operation) -> None:
    if not server.accounts.enforced:
        raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")


# ---- users


def list_all(server: ServerState, operation: Operation) -> Outcome:
    access.require_admin(server, operation)
    return done(operation, {"result": [account.shown() for account in server.accounts.by_name.values()]})


def create(server: ServerState, operation: Operation) -> Outcome:
    access.require_admin(server, operation)
    body = body_object(operation)
    password, active, extra = _settings(body)
    account = server.accounts.create(body.get("user"), password or "", active=active is not False, extra=extra)
    server.accounts.changed()
    return _shown(account, 201)


def prove(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/user/{user}: check the user's password. 404 if it is wrong."""
    password = body_object(operation).get("passwd")
    name = operation.path[2]
    if server.accounts.login(name, password if isinstance(password, str) else "", server.now()) != name:
        raise ArangoError(1703)
    return done(operation, {"result": True})


def read(server: ServerState, operation: Operation) -> Outcome:
    return _shown(_accessible(server, operation), 200)


def replace(server: ServerState, operation: Operation) -> Outcome:
    """PUT: attributes that the body lacks become those of a new user."""
    account = _accessible(server, operation)
    password, active, extra = _settings(body_object(operation))
    account.set_password(password or "")
    account.active, account.extra = active is not False, extra or {}
    server.accounts.changed()
    return _shown(account, 200)


def update(server: ServerState, operation: Operation) -> Outcome:
    """PATCH: attributes that the body lacks stay, those of `extra` too."""
    account = _accessible(server, operation)
    password, active, extra = _settings(body_object(operation))
    if password is not None:
        account.set_password(password)
    if active is not None:
        account.active = active
    account.extra = {**account.extra, **(extra or {})}
    server.accounts.changed()
    return _shown(account, 200)


def remove(server: ServerState, operation: Operation) -> Outcome:
    access.require_admin(server, operation)
    server.accounts.remove(operation.path[2])
    return json_outcome(202, _DONE)


# ---- rights


def below(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/user/{user}/database[/{db}[/{collection}]]`, and `…/config[/{name}]`, which the web interface uses."""
    kind = operation.path[3] if len(operation.path) > 3 else ""
    if kind == "config":
        return _config(server, operation)
    if kind != "database" or len(operation.path) > 6:
        raise ArangoError(10, "bad parameter")
    if operation.method == "GET":
        return _levels(server, operation)
    access.require_admin(server, operation)
    if len(operation.path) < 5 or operation.method not in ("PUT", "DELETE"):
        raise ArangoError(10, "bad parameter")
    account, database = server.accounts.find(operation.path[2]), operation.path[4]
    collection = operation.path[5] if len(operation.path) > 5 else ""
    if collection not in ("", "*") and database != "*":
        _existing(server, database, collection)
    if operation.method == "PUT":
        level = level_of(body_object(operation).get("grant"))
        grant(account, database, collection, level)
        shown = f"{database}/{collection}" if collection else database
        answer = json_outcome(200, {shown: level.text, "error": False, "code": 200})
    else:
        revoke(account, database, collection)
        answer = json_outcome(202, _DONE)
    server.accounts.changed()
    return answer


def _existing(server: ServerState, database: str, collection: str) -> None:
    found = server.databases.get(database)
    if found is None:
        raise ArangoError(1228)
    found.find(collection)


def _levels(server: ServerState, operation: Operation) -> Outcome:
    account = _accessible(server, operation)
    place = operation.path[4:]
    if not place:
        full = flag(operation.params, "full")
        return done(operation, {"result": _everything(server, account) if full else _open_to(server, account)})
    configured = database_level(account, place[0]) if len(place) == 1 else collection_level(account, *place[:2])
    # `configured` asks for the level that was given, whatever the server's mode
    held = configured if flag(operation.params, "configured") else min(configured, server.accounts.highest)
    return done(operation, {"result": held.text})


def _open_to(server: ServerState, account: Account) -> Document:
    levels = {name: min(database_level(account, name), server.accounts.highest) for name in server.databases}
    return {name: level.text for name, level in levels.items() if level is not Level.NONE}


def _everything(server: ServerState, account: Account) -> Document:
    """Return what was granted, for every database and collection."""
    shown: Document = {}
    for name, database in server.databases.items():
        grants = account.grants.get(name)
        collections = grants.collections if grants is not None else {}
        shown[name] = {
            "permission": _text(grants.level if grants is not None else None),
            "collections": {one: _text(collections.get(one)) for one in (*database.collections, "*")},
        }
    return {**shown, "*": {"permission": _text(database_level(account, "*"))}}


def _text(level: Level | None) -> str:
    return _UNDEFINED if level is None else level.text


def _config(server: ServerState, operation: Operation) -> Outcome:
    account, names = _accessible(server, operation), operation.path[4:]
    if operation.method == "GET":
        return done(operation, {"result": account.config.get(names[0]) if names else account.config})
    if operation.method == "PUT" and len(names) == 1:
        account.config[names[0]] = body_object(operation).get("value")
    elif operation.method == "DELETE":
        for name in names or tuple(account.config):
            account.config.pop(name, None)
    else:
        raise ArangoError(10, "bad parameter")
    return done(operation, {})


# ---- access tokens


def tokens(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/token/{user}[/{id}]`: tokens that replace a password.

    The text is shown once, in the answer that creates it.
    """
    account = _accessible(server, operation)
    if operation.method == "GET":
        return json_outcome(200, {"tokens": [_token(server, shown) for shown in account.tokens.values()]})
    if operation.method == "POST":
        return _make_token(server, operation, account)
    if operation.method != "DELETE" or len(operation.path) < 4:
        raise ArangoError(405)
    found = next((key for key, shown in account.tokens.items() if str(shown["id"]) == operation.path[3]), None)
    if found is None:
        raise ArangoError(404, "token not found")
    del account.tokens[found]
    server.accounts.changed()
    return json_outcome(200, {})


def _make_token(server: ServerState, operation: Operation, account: Account) -> Outcome:
    body = body_object(operation)
    until = body.get("valid_until", int(server.now()) + _TOKEN_LIFE)
    if not isinstance(body.get("name"), str) or not isinstance(until, int) or isinstance(until, bool):
        raise ArangoError(10, "bad parameter")
    if any(shown["name"] == body["name"] for shown in account.tokens.values()):
        raise ArangoError(409, "an access token of that name exists", status=409)
    text = f"v1.{secrets.token_hex(24)}"
    number = max((shown["id"] for shown in account.tokens.values()), default=0) + 1
    shown = {
        "id": number,
        "name": body["name"],
        "valid_until": until,
        "created_at": int(server.now()),
        "fingerprint": f"v1...{text[-6:]}",
    }
    account.tokens[hash_token(text)] = shown
    server.accounts.changed()
    return json_outcome(200, {**_token(server, shown), "token": text})


def _token(server: ServerState, shown: Document) -> Document:
    return {**shown, "active": server.now() < shown["valid_until"]}


# ---- what the handlers share


def _accessible(server: ServerState, operation: Operation) -> Account:
    """Return the user of the path: for itself and for administrators. Raise ArangoError 10, 11, 1703."""
    if len(operation.path) < 3:
        raise ArangoError(10, "bad parameter")
    name = operation.path[2]
    if access.identity(server, operation).user != name:
        access.require_admin(server, operation)
    return server.accounts.find(name)


def _settings(body: Document) -> tuple[str | None, bool | None, Document | None]:
    """Return (password, active, extra) that the body has in the right type; others are ignored, as in ArangoDB."""
    password, active, extra = body.get("passwd"), body.get("active"), body.get("extra")
    return (
        password if isinstance(password, str) else None,
        active if isinstance(active, bool) else None,
        extra if isinstance(extra, dict) else None,
    )


def _shown(account: Account, code: int) -> Outcome:
    return json_outcome(code, {**account.shown(), "error": False, "code": code})


COMMANDS: Final = {
    "auth.open": EndpointCommand(authenticate, access.anyone),
    "auth.renew": EndpointCommand(renew, access.anyone),
    "user.list": EndpointCommand(list_all, access.authenticated),
    "user.create": EndpointCommand(create, access.authenticated, changes_accounts=True),
    "user.prove": EndpointCommand(prove, access.authenticated),
    "user.read": EndpointCommand(read, access.authenticated),
    "user.replace": EndpointCommand(replace, access.authenticated, changes_accounts=True),
    "user.update": EndpointCommand(update, access.authenticated, changes_accounts=True),
    "user.remove": EndpointCommand(remove, access.authenticated, changes_accounts=True),
    "user.permission": EndpointCommand(below, access.authenticated, changes_accounts=True),
    "token": EndpointCommand(tokens, access.authenticated, changes_accounts=True),
}
