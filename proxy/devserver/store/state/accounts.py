"""Users, their passwords and their rights: levels of access to databases and collections. No HTTP.

A user without a level for a database has the better one of `*` and of `_system` (where `rw` makes an administrator). A
collection's level is its own, else the best of: the database's, the database's `*`, those of `_system` and of `*`. No
user reads `_users`; other system collections follow their database.

A server in read-only mode (`PUT /_admin/server/mode`) counts each of these levels as `ro` at most, whether or not it
enforces authentication. Only a superuser's own token still writes then; administrators still change users and the mode.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.wire.auth import claims_of, credentials_of

Document = dict[str, Any]
SYSTEM: Final = "_system"
METHODS: Final = ("sha256", "sha1", "sha224", "sha384", "sha512", "md5")  # of ArangoDB; new passwords get the first one
_REMEMBERED: Final = 1024  # Authorization headers


class Level(enum.IntEnum):
    """Level of access. RW on `_system` makes an administrator."""

    NONE = 0
    RO = 1
    RW = 2

    @property
    def text(self) -> str:
        return self.name.lower()


def level_of(text: object) -> Level:
    """Return a level by its name. Raise ArangoError 10."""
    if text not in ("rw", "ro", "none"):
        raise ArangoError(10, "expecting JSON object with key 'grant'")
    return Level[str(text).upper()]


@dataclass(slots=True)
class Grants:
    """One user's rights on one database (or `*`): the database's level, if given, and those of collections."""

    level: Level | None = None
    collections: dict[str, Level] = field(default_factory=dict)


@dataclass(slots=True)
class Account:
    """One user. Passwords are kept as salted hashes; `tokens` maps an access token's hash to how it is shown.

    method: the hash function of the password, one of METHODS.
    """

    name: str
    salt: str = ""
    password: str = ""
    active: bool = True
    extra: Document = field(default_factory=dict)
    config: Document = field(default_factory=dict)
    grants: dict[str, Grants] = field(default_factory=dict)
    tokens: dict[str, Document] = field(default_factory=dict)
    method: str = METHODS[0]

    def set_password(self, text: str) -> None:
        self.salt, self.method = secrets.token_hex(8), METHODS[0]
        self.password = self._hashed(text)

    def has_password(self, text: str) -> bool:
        return hmac.compare_digest(self.password, self._hashed(text))

    def _hashed(self, text: str) -> str:
        return hashlib.new(self.method, f"{self.salt}{text}".encode("utf-8", "surrogatepass")).hexdigest()

    def shown(self) -> Document:
        return {"user": self.name, "active": self.active, "extra": self.extra}


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a request. A superuser (a server's own token, or a server without authentication) may do everything.

    unchecked: a superuser because the server does not enforce authentication.
    """

    user: str
    superuser: bool = False
    unchecked: bool = False


EVERYBODY: Final = Identity("root", superuser=True, unchecked=True)


class Accounts:
    """All users of one server. enforced: requests must authenticate; otherwise every request is a superuser's.

    read_only: the server takes no writes.
    """

    def __init__(self, secret: bytes, *, enforced: bool = False) -> None:
        self.enforced = enforced
        self.read_only = False
        self.by_name: dict[str, Account] = {}
        self.secret = secret
        # Authorization header -> (who, until when it is valid): hashing a password for each request is expensive
        self._remembered: dict[str, tuple[Identity, float]] = {}
        self.create("root", "")
        self.by_name["root"].grants = {SYSTEM: Grants(Level.RW, {"*": Level.RW}), "*": Grants(Level.RW)}

    @property
    def limited(self) -> bool:
        """True if some request may be refused."""
        return self.enforced or self.read_only

    def enforce(self, root_password: str, secret: bytes | None = None) -> None:
        """Require authentication from now on. secret: signs tokens from now on; None keeps the present one."""
        if secret is not None:
            self.secret = secret
        self.by_name["root"].set_password(root_password)
        self.enforced = True
        self.changed()

    # ---- users

    def find(self, name: str) -> Account:
        """Return an account. Raise ArangoError 1703."""
        found = self.by_name.get(name)
        if found is None:
            raise ArangoError(1703, "user not found")
        return found

    def create(self, name: object, password: str, *, active: bool = True, extra: Document | None = None) -> Account:
        """Create an account. Raise ArangoError 1700, 1702."""
        if not isinstance(name, str) or not name or name.startswith(":role:"):
            raise ArangoError(1700, "invalid user name", status=400)
        if name in self.by_name:
            raise ArangoError(1702, "duplicate user", status=409)
        account = Account(name, active=active, extra=extra or {})
        account.set_password(password)
        self.by_name[name] = account
        return account

    def remove(self, name: str) -> None:
        """Remove an account. Raise ArangoError 1703; 11 for root."""
        self.find(name)
        if name == "root":
            raise ArangoError(11, "forbidden")
        del self.by_name[name]
        self.changed()

    def changed(self) -> None:
        """Forget what headers were found to prove. Must be called after any change of an account."""
        self._remembered.clear()

    # ---- who asks

    def authenticate(self, header: str | None, now: float) -> Identity | None:
        """Return who an Authorization header proves to be; None if it proves nothing. now: seconds since the epoch."""
        if not self.enforced:
            return EVERYBODY
        if header is None:
            return None
        known = self._remembered.get(header)
        if known is not None and now < known[1]:
            return known[0]
        found = self._prove(header, now)
        if found is not None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[header] = found
        return None if found is None else found[0]

    def _prove(self, header: str, now: float) -> tuple[Identity, float] | None:
        credentials = credentials_of(header)
        if credentials is not None:
            user = self.login(*credentials, now)
            return None if user is None else (Identity(user), now + 60)
        claims = claims_of(header, self.secret)
        if claims is None or (claims.exp and claims.exp <= now):
            return None
        until = float(claims.exp) if claims.exp else now + 60
        if claims.server_id:
            return Identity("", superuser=True), until
        account = self.by_name.get(claims.preferred_username)
        return None if account is None or not account.active else (Identity(account.name), until)

    def login(self, name: str, password: str, now: float) -> str | None:
        """Return the user of a name and a password, or of an access token used as the password
        (the name may be empty).
        """
        hashed = hash_token(password)
        for account in self.by_name.values():
            token = account.tokens.get(hashed)
            if token is not None and account.active and name in ("", account.name) and now < token["valid_until"]:
                return account.name
        found = self.by_name.get(name)
        if found is None or not found.active or not found.has_password(password):
            return None
        return found.name

    # ---- rights

    def database(self, identity: Identity, database: str) -> Level:
        """Return the effective level for a database."""
        return min(self._configured(identity, database), self._highest(identity))

    def collection(self, identity: Identity, database: str, name: str) -> Level:
        """Return the effective level for a collection."""
        if identity.superuser:
            return self._highest(identity)
        account = self.by_name.get(identity.user)
        given = Level.NONE if account is None else collection_level(account, database, name)
        return min(given, self._highest(identity))

    def admin(self, identity: Identity) -> bool:
        """Return True if the user may change users, settings and the server's mode, which read-only mode does not
        prevent.
        """
        return self._configured(identity, SYSTEM) is Level.RW

    def _configured(self, identity: Identity, database: str) -> Level:
        if identity.superuser:
            return Level.RW
        account = self.by_name.get(identity.user)
        return Level.NONE if account is None else database_level(account, database)

    @property
    def highest(self) -> Level:
        """The highest level in the server's mode."""
        return Level.RO if self.read_only else Level.RW

    def _highest(self, identity: Identity) -> Level:
        return Level.RW if identity.superuser and not identity.unchecked else self.highest


def database_level(account: Account, database: str) -> Level:
    """Return one user's level for one database, with `*` and `_system` as defaults."""
    own = account.grants.get(database)
    if own is not None and own.level is not None:
        return own.level
    if database == "*":
        return Level.NONE
    return max(_given(account, "*"), _given(account, SYSTEM) if database != SYSTEM else Level.NONE)


def collection_level(account: Account, database: str, name: str) -> Level:
    """Return one user's level for one collection."""
    if not name or (database == "*" and name != "*"):
        return Level.NONE
    if name[0] == "_":
        if name == "_users" and database == SYSTEM:
            return Level.NONE
        if name == "_queues":
            return Level.RO
        return Level.RW if name == "_frontend" else database_level(account, database)
    best = Level.NONE
    own = account.grants.get(database) if database != "*" else None
    if own is not None:
        if name in own.collections:
            return own.collections[name]
        if name == "*":
            return Level.NONE
        best = max(own.level or Level.NONE, own.collections.get("*", Level.NONE))
    if database not in ("*", SYSTEM):
        best = max(best, _given(account, SYSTEM))
    everywhere = account.grants.get("*")
    if everywhere is not None:
        best = max(best, everywhere.level or Level.NONE, everywhere.collections.get("*", Level.NONE))
    return best


def grant(account: Account, database: str, collection: str, level: Level) -> None:
    """Set a level; an empty `collection` means the database's own. Raise ArangoError 10, 11."""
    _check_grant(account, database, collection, level)
    grants = account.grants.setdefault(database, Grants())
    if collection:
        grants.collections[collection] = level
    else:
        grants.level = level


def revoke(account: Account, database: str, collection: str) -> None:
    """Remove a level: of the database (and of all in it), or of one collection. Raise ArangoError 10, 11."""
    if account.name == "root" and database == SYSTEM and collection in ("", "*"):
        raise ArangoError(11, "Cannot remove access level of 'root' to _system")
    if not collection:
        account.grants.pop(database, None)
    elif database in account.grants:
        account.grants[database].collections.pop(collection, None)


def _check_grant(account: Account, database: str, collection: str, level: Level) -> None:
    if account.name == "root" and database == SYSTEM and collection in ("", "*") and level is not Level.RW:
        raise ArangoError(11, "Cannot lower access level of 'root' to _system")
    if collection.startswith("_"):
        raise ArangoError(10, "Cannot set rights for system collections")
    if database == "*" and collection not in ("", "*"):
        raise ArangoError(10, "Invalid database / collection pair")


def hash_token(token: str) -> str:
    """Return an access token as it is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _given(account: Account, database: str) -> Level:
    found = account.grants.get(database)
    return found.level if found is not None and found.level is not None else Level.NONE
