"""Which credentials are accepted, for how long, and which level results: the rules without HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.accounts import (
    Account,
    Accounts,
    Grants,
    Level,
    collection_level,
    database_level,
    grant,
    hash_token,
    revoke,
)
from proxy.wire.auth import make_token

SECRET = b"secret"
NONE, RO, RW = Level


def signed(claims: dict[str, Any], secret: bytes = SECRET, alg: str = "HS256") -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}"
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"bearer {text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def accounts() -> Accounts:
    made = Accounts(SECRET)
    made.enforce("x")
    made.create("ann", "a")
    return made


def test_a_token_holds_until_it_expires(accounts: Accounts) -> None:
    header = "bearer " + make_token("ann", SECRET, 1000, lifetime=10)
    for now, believed in ((1000, True), (1009.9, True), (1010, False)):
        assert (accounts.authenticate(header, now) is not None) == believed


@pytest.mark.parametrize(
    "header",
    [
        signed({"preferred_username": "ann", "iss": "arangodb", "exp": 5000}, b"other"),
        signed({"preferred_username": "ann", "iss": "arangodb", "exp": 5000}, alg="none"),
        signed({"preferred_username": "ann", "iss": "somebody", "exp": 5000}),
        signed({"preferred_username": "nobody", "iss": "arangodb", "exp": 5000}),
        signed({"preferred_username": "ann", "iss": "arangodb", "exp": 999}),
        signed({"preferred_username": 5, "iss": "arangodb"}),
        "bearer a.b.c",
        "bearer a.b",
        "bearer",
        basic("ann", "b"),
        basic("nobody", ""),
        "Basic !",
        "Basic " + base64.b64encode(b"ann").decode(),
        "",
    ],
)
def test_what_proves_nothing(accounts: Accounts, header: str) -> None:
    assert accounts.authenticate(header, 1000) is None
    assert accounts.authenticate(None, 1000) is None


def test_a_servers_own_token_is_a_superusers(accounts: Accounts) -> None:
    found = accounts.authenticate(signed({"server_id": "s", "iss": "arangodb"}), 1000)
    assert found is not None
    assert found.superuser
    assert accounts.collection(found, "_system", "_users") is RW
    assert accounts.database(found, "none") is RW


def test_what_was_believed_is_forgotten_with_any_change(accounts: Accounts) -> None:
    assert accounts.authenticate(basic("ann", "a"), 0) is not None
    accounts.find("ann").active = False
    accounts.changed()
    assert accounts.authenticate(basic("ann", "a"), 0) is None
    assert accounts.authenticate(signed({"preferred_username": "ann", "iss": "arangodb"}), 0) is None


def test_only_so_much_is_remembered(accounts: Accounts) -> None:
    accounts.by_name["ann"].tokens = {hash_token(f"t{n}"): {"valid_until": 9} for n in range(1100)}
    for number in range(1100):
        assert accounts.authenticate(basic("ann", f"t{number}"), 0) is not None


def test_an_access_token_is_its_users_password_for_a_time(accounts: Accounts) -> None:
    accounts.find("ann").tokens[hash_token("t")] = {"valid_until": 10}
    assert accounts.login("ann", "t", 9) == accounts.login("", "t", 9) == "ann"
    assert accounts.login("root", "t", 9) is accounts.login("ann", "t", 10) is None


def account(**grants: Grants) -> Account:
    return Account("u", grants={name.replace("ALL", "*").replace("SYS", "_system"): g for name, g in grants.items()})


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (account(), (NONE, NONE)),
        (account(d=Grants(RO)), (RO, NONE)),
        (account(ALL=Grants(RO)), (RO, RO)),
        (account(SYS=Grants(RW)), (RW, RW)),
        (account(SYS=Grants(RW), d=Grants(NONE)), (NONE, RW)),
        (account(ALL=Grants(RW), SYS=Grants(NONE)), (RW, NONE)),
        (account(d=Grants(None, {"c": RW}), ALL=Grants(RO)), (RO, RO)),
    ],
)
def test_levels_of_databases(user: Account, expected: tuple[Level, Level]) -> None:
    assert (database_level(user, "d"), database_level(user, "_system")) == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (account(), NONE),
        (account(d=Grants(RW)), RW),
        (account(d=Grants(RW, {"c": NONE})), NONE),
        (account(d=Grants(RO, {"*": RW})), RW),
        (account(d=Grants(RW, {"*": NONE})), RW),
        (account(d=Grants(NONE), SYS=Grants(RO)), RO),
        (account(d=Grants(NONE), ALL=Grants(NONE, {"*": RO})), RO),
        (account(ALL=Grants(RW)), RW),
    ],
)
def test_levels_of_collections(user: Account, expected: Level) -> None:
    assert collection_level(user, "d", "c") is expected


def test_system_collections() -> None:
    user = account(d=Grants(RO), SYS=Grants(RW))
    assert collection_level(user, "d", "_graphs") is RO
    assert collection_level(user, "d", "_queues") is RO
    assert collection_level(user, "d", "_frontend") is RW
    assert collection_level(user, "_system", "_users") is NONE
    assert collection_level(user, "d", "") is collection_level(user, "*", "c") is NONE
    assert collection_level(user, "d", "*") is NONE


def test_what_cannot_be_granted_or_taken() -> None:
    root = Account("root")
    for database, collection, level, number in (
        ("_system", "", RO, 11),
        ("_system", "*", NONE, 11),
        ("d", "_graphs", RO, 10),
        ("*", "c", RO, 10),
    ):
        with pytest.raises(ArangoError) as refused:
            grant(root, database, collection, level)
        assert refused.value.number == number
    with pytest.raises(ArangoError):
        revoke(root, "_system", "")
    revoke(root, "none", "c")
    grant(root, "d", "c", RO)
    revoke(root, "d", "c")
    assert root.grants["d"].collections == {}
