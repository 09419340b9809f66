"""Access rights, if the server checks them: a rule for each endpoint, and checks where a handler touches a collection.

401 with errorNum 11: no user was authenticated, or one without access to the database. 403 with errorNum 11: no access
to a collection, or another level is needed. 403 with 1004: a write by a user who may only read. Protocol page,
section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.accounts import EVERYBODY, Identity, Level
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation

Rule = Callable[[ServerState, Operation], None]
CHALLENGES: Final = (
    (b"www-authenticate", b'Basic, realm="ArangoDB"'),
    (b"www-authenticate", b'Bearer, token_type="JWT", realm="ArangoDB"'),
)


class Unauthorized(ArangoError):
    """401: the request's credentials open neither server nor database."""

    def __init__(self) -> None:
        super().__init__(11, "not authorized to execute this request", status=401)


def identity(server: ServerState, operation: Operation) -> Identity:
    """Return who asks. Raise Unauthorized if the request authenticates no user."""
    accounts = server.accounts
    if not accounts.enforced:
        return EVERYBODY
    found = accounts.authenticate(operation.headers.get("authorization"), server.now())
    if found is None:
        raise Unauthorized
    return found


def collection(server: ServerState, operation: Operation, name: str, *, write: bool) -> None:
    """Check the access to the documents of a collection. Raise ArangoError 11, 1004."""
    accounts = server.accounts
    level = accounts.collection(identity(server, operation), operation.database, name)
    if level is Level.NONE:
        raise ArangoError(11, f"forbidden: {name} [{'write' if write else 'read'}]")
    if write and level is Level.RO:
        raise ArangoError(1004, f"read only: {name} [write]")


def sees(server: ServerState, operation: Operation, name: str) -> bool:
    """Return True if a collection may be shown."""
    return server.accounts.collection(identity(server, operation), operation.database, name) is not Level.NONE


def require_admin(server: ServerState, operation: Operation) -> None:
    """Raise ArangoError 11 unless an administrator asks."""
    if not server.accounts.admin(identity(server, operation)):
        raise ArangoError(11, "forbidden")


# ---- the rules of endpoints: each raises Unauthorized or ArangoError if the request is not allowed


def anyone(_server: ServerState, _operation: Operation) -> None:
    """Allow every request."""


def authenticated(server: ServerState, operation: Operation) -> None:
    """Allow every user, with or without access to the database."""
    identity(server, operation)


def database_read(server: ServerState, operation: Operation) -> None:
    """Allow users who have access to the database."""
    if server.accounts.database(identity(server, operation), operation.database) is Level.NONE:
        raise Unauthorized


def administrator(server: ServerState, operation: Operation) -> None:
    """Allow administrators who have access to the database."""
    database_read(server, operation)
    require_admin(server, operation)


def database_write(server: ServerState, operation: Operation) -> None:
    """Allow users who may write to the database."""
    database_read(server, operation)
    _require_database_write(server, operation)


def database_change(server: ServerState, operation: Operation) -> None:
    """Allow administrators to create and drop databases, in `_system` only: another database is the first error.

    In read-only mode administrators keep their rights, but do not write.
    """
    database_read(server, operation)
    if operation.database != "_system":
        raise ArangoError(1230, "operation only allowed in system database")
    require_admin(server, operation)
    _require_database_write(server, operation)


def collection_read(server: ServerState, operation: Operation) -> None:
    """Allow users who have access to the collection."""
    database_read(server, operation)
    name = _collection_name(server, operation)
    if name and not sees(server, operation, name):
        raise ArangoError(11, f"No access to collection '{name}'")


def collection_change(server: ServerState, operation: Operation) -> None:
    """Allow changes of properties, name and existence: needs `rw` on the database and on the collection."""
    database_read(server, operation)
    name = _collection_name(server, operation)
    if name and server.accounts.collection(identity(server, operation), operation.database, name) is not Level.RW:
        raise ArangoError(11, f"Insufficient rights to modify collection '{name}'")
    _require_database_write(server, operation)


def index_create(server: ServerState, operation: Operation) -> None:
    """Allow new indexes: needs access to the collection, and `rw` on the database."""
    collection_read(server, operation)
    _require_database_write(server, operation)


def _require_database_write(server: ServerState, operation: Operation) -> None:
    if server.accounts.database(identity(server, operation), operation.database) is not Level.RW:
        raise ArangoError(11, "forbidden")


def _collection_name(server: ServerState, operation: Operation) -> str:
    """Return the name of the collection that the request names; empty if unknown, which is not found, not forbidden."""
    given = operation.collection or operation.params.get("collection", "")
    database = server.databases.get(operation.database)
    found = None if database is None else database.known(given)
    return "" if found is None else found.name
