"""Who may do what, where a server checks it: before a handler runs, and where a handler touches a collection.

401 with errorNum 11: nobody was proved, or somebody without access to the database. 403 with errorNum 11: no access
to a collection, or what needs another level. 403 with 1004: a write where one may only read. Protocol page, section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.accounts import EVERYBODY, Identity, Level
from proxy.model.operations import Operation

if TYPE_CHECKING:
    from proxy.devserver.store.server import Server

CHALLENGES: Final = (
    (b"www-authenticate", b'Basic, realm="ArangoDB"'),
    (b"www-authenticate", b'Bearer, token_type="JWT", realm="ArangoDB"'),
)
# answered whoever asks
_OPEN: Final = frozenset({"auth.open", "auth.renew", "admin.availability"})
# answered to whoever was proved, with or without access to the database
_PROVED: Final = frozenset({"cluster.endpoints"})


class Unauthorized(ArangoError):
    """401: the request's credentials open neither server nor database."""

    def __init__(self) -> None:
        super().__init__(11, "not authorized to execute this request", status=401)


def identity(server: Server, operation: Operation) -> Identity:
    """Who asks. Raises Unauthorized where nobody was proved."""
    accounts = server.accounts
    if not accounts.enforced:
        return EVERYBODY
    found = accounts.authenticate(operation.headers.get("authorization"), server.now())
    if found is None:
        raise Unauthorized
    return found


def check(server: Server, operation: Operation) -> None:
    """Raises Unauthorized or ArangoError 11 where the request may not be carried out; for limited accounts alone."""
    endpoint = operation.endpoint
    if endpoint in _OPEN:
        return
    who = identity(server, operation)
    if endpoint in _PROVED or endpoint.startswith(("user.", "token.")):
        return  # about users: each handler looks
    if server.accounts.database(who, operation.database) is Level.NONE:
        raise Unauthorized
    rule = _RULES.get(endpoint)
    if rule is not None:
        rule(server, operation, who)


def collection(server: Server, operation: Operation, name: str, *, write: bool) -> None:
    """Documents are to be read or written. Raises ArangoError 11, 1004."""
    accounts = server.accounts
    level = accounts.collection(identity(server, operation), operation.database, name)
    if level is Level.NONE:
        raise ArangoError(11, f"forbidden: {name} [{'write' if write else 'read'}]")
    if write and level is Level.RO:
        raise ArangoError(1004, f"read only: {name} [write]")


def sees(server: Server, operation: Operation, name: str) -> bool:
    """Whether a collection may be shown."""
    return server.accounts.collection(identity(server, operation), operation.database, name) is not Level.NONE


def require_admin(server: Server, operation: Operation) -> None:
    """Raises ArangoError 11 but for administrators."""
    if not server.accounts.admin(identity(server, operation)):
        raise ArangoError(11, "forbidden")


# ---- rules of endpoints, beside the access to the database that all need

Rule = Callable[["Server", Operation, Identity], None]


def _admin(server: Server, _operation: Operation, who: Identity) -> None:
    if not server.accounts.admin(who):
        raise ArangoError(11, "forbidden")


def _databases(server: Server, operation: Operation, who: Identity) -> None:
    """Databases are made and dropped in `_system`, by administrators: whoever asks elsewhere hears that first."""
    if operation.database != "_system":
        raise ArangoError(1230, "operation only allowed in system database")
    _admin(server, operation, who)
    _database_write(server, operation, who)  # administrators keep their rights in read-only mode, but do not write


def _database_write(server: Server, operation: Operation, who: Identity) -> None:
    if server.accounts.database(who, operation.database) is not Level.RW:
        raise ArangoError(11, "forbidden")


def _name(server: Server, operation: Operation) -> str:
    """The collection's name, where the request has one that is known: what is unknown is not found, not forbidden."""
    given = operation.collection or operation.params.get("collection", "")
    database = server.databases.get(operation.database)
    found = None if database is None else database.known(given)
    return "" if found is None else found.name


def _collection_read(server: Server, operation: Operation, who: Identity) -> None:
    name = _name(server, operation)
    if name and server.accounts.collection(who, operation.database, name) is Level.NONE:
        raise ArangoError(11, f"No access to collection '{name}'")


def _collection_change(server: Server, operation: Operation, who: Identity) -> None:
    """Properties, name, indexes, the collection itself: needs `rw` on the database and on the collection."""
    name = _name(server, operation)
    if name and server.accounts.collection(who, operation.database, name) is not Level.RW:
        raise ArangoError(11, f"Insufficient rights to modify collection '{name}'")
    _database_write(server, operation, who)


def _index_create(server: Server, operation: Operation, who: Identity) -> None:
    _collection_read(server, operation, who)
    _database_write(server, operation, who)


_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("database.create", "database.drop"), _databases),
    **dict.fromkeys(("wal.range", "wal.last_tick", "wal.tail", "admin.log", "admin.execute"), _admin),
    **dict.fromkeys(
        (
            *("collection.create", "gharial.create", "gharial.drop", "gharial.add_edge_definition"),
            *("gharial.replace_edge_definition", "gharial.remove_edge_definition"),
            *("gharial.add_vertex_collection", "gharial.remove_vertex_collection", "view.create", "view.change"),
            *("view.drop", "query.function", "admin.compact"),
        ),
        _database_write,
    ),
    **dict.fromkeys(
        (
            *("collection.read", "collection.properties", "collection.figures", "collection.revision"),
            *("collection.checksum", "collection.load", "collection.unload", "collection.load_indexes"),
            *("collection.recalculate", "collection.compact", "collection.shards", "collection.responsible_shard"),
            *("index.list", "index.read", "index.selectivity"),
        ),
        _collection_read,
    ),
    **dict.fromkeys(
        ("collection.set_properties", "collection.rename", "collection.drop", "index.drop"), _collection_change
    ),
    "index.create": _index_create,
    "replication": _collection_read,
}
