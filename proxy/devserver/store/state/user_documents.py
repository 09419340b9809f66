"""The documents of the collection `_users`, in which ArangoDB keeps its accounts: salted hashes, levels, settings.

Levels are {"read", "write"}, or {"undefined"} for a database of which only collections have a level.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.accounts import METHODS, SYSTEM, Account, Grants, Level, grant

Document = dict[str, Any]
_ROLE: Final = ":role:"
_OLD_LEVELS: Final = {"rw": Level.RW, "ro": Level.RO}  # of a database, in documents of before 3.2


class UnusableUserError(Exception):
    """ArangoDB itself lets no user in by this document. str() is the reason."""


def document_of(account: Account, key: str) -> Document:
    """Return the content of an account's document. key: its `_key`; ArangoDB gives one that says nothing."""
    databases = {
        database: {
            "permissions": _permissions(given.level),
            "collections": {name: {"permissions": _permissions(level)} for name, level in given.collections.items()},
        }
        for database, given in account.grants.items()
    }
    return {
        "_key": key,
        "_id": f"_users/{key}",
        "user": account.name,
        "source": "LOCAL",
        "authData": {
            "active": account.active,
            "simple": {"hash": account.password, "salt": account.salt, "method": account.method},
        },
        "databases": databases,
        **({"userData": account.extra} if account.extra else {}),
        **({"configData": account.config} if account.config else {}),
    }


def account_of(document: Document) -> Account:
    """Return the account of a document, without access tokens. Raise UnusableUserError."""
    name, data = document.get("user"), _object(document.get("authData"))
    simple = _object(data.get("simple"))
    method, salt, hashed = (simple.get(part) for part in ("method", "salt", "hash"))
    if not isinstance(name, str) or not name:
        raise UnusableUserError("it has no name")
    if name.startswith(_ROLE):
        raise UnusableUserError("it is a role of LDAP")
    if not isinstance(salt, str) or not isinstance(hashed, str) or not isinstance(data.get("active"), bool):
        raise UnusableUserError("it has no password")
    if method not in METHODS:
        raise UnusableUserError(f"its password has the unknown method {method!r}")
    extra, config = _object(document.get("userData")), _object(document.get("configData"))
    account = Account(name, salt, hashed, data["active"], extra, config, method=str(method))
    for database, given in _object(document.get("databases")).items():
        _grant_all(account, database, given)
    if name == "root":  # whatever the document says, as ArangoDB has it
        _grant_all(account, SYSTEM, "rw")
    return account


def _grant_all(account: Account, database: str, given: object) -> None:
    """Give what a document states for one database. What ArangoDB does not accept is left out, as it does."""
    if isinstance(given, dict):
        account.grants.setdefault(database, Grants())
        levels = {"": _level(given.get("permissions"), missing=Level.NONE)}
        levels |= {
            name: _level(_object(one).get("permissions")) for name, one in _object(given.get("collections")).items()
        }
    else:
        old = _OLD_LEVELS.get(str(given).lower())
        levels = {"": old, "*": old}
    for name, level in levels.items():
        if level is not None:
            with contextlib.suppress(ArangoError):
                grant(account, database, name, level)
    if database in account.grants and account.grants[database] == Grants():
        del account.grants[database]


def _permissions(level: Level | None) -> Document:
    if level is None:
        return {"undefined": True}
    return {"read": level is not Level.NONE, "write": level is Level.RW}


def _level(permissions: object, missing: Level | None = None) -> Level | None:
    """Return the level that permissions state; None if it is undefined. missing: the one of no permissions."""
    if not isinstance(permissions, dict):
        return missing
    if permissions.get("write") is True:
        return Level.RW
    if permissions.get("read") is True:
        return Level.RO
    return None if permissions.get("undefined") is True else Level.NONE


def _object(value: object) -> Document:
    return value if isinstance(value, dict) else {}
