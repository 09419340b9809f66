"""The documents of `_users`: accounts to documents and back, what ArangoDB does not accept, who may dump them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from proxy.devserver.store import MemoryStore
from proxy.devserver.store.state.accounts import Account, Accounts, Grants, Level
from proxy.devserver.store.state.user_documents import UnusableUserError, account_of, document_of
from proxy.wire.decode import decode_parts

NONE, RO, RW = Level.NONE, Level.RO, Level.RW


def document(**changes: Any) -> dict[str, Any]:
    simple = {"hash": "h", "salt": "s", "method": "sha256"}
    return {"user": "ann", "authData": {"active": True, "simple": simple}, "databases": {}, **changes}


def test_an_account_survives_the_way_to_its_document_and_back() -> None:
    account = Account("ann", active=False, extra={"a": [1]}, config={"theme": "dark"})
    account.set_password("söcret")
    account.grants = {
        "shop": Grants(RO, {"orders": RW, "*": NONE}),
        "blog": Grants(None, {"posts": RO}),
        "*": Grants(NONE, {"*": RO}),
    }
    read = account_of(json.loads(json.dumps(document_of(account, "17"))))
    assert read == account
    assert read.has_password("söcret")
    assert not read.has_password("secret")


def test_a_new_server_s_root_is_the_one_of_its_document() -> None:
    root = Accounts(b"").by_name["root"]
    assert account_of(document_of(root, "1")) == root


@pytest.mark.parametrize(
    ("method", "hashed"),  # of the salt "salt" and the password "x"
    [
        ("md5", "e52cf713193460fea2740c8638c0770c"),
        ("sha1", "ba6a7a32fddcf049146a14ff31d9c2f5b22d0ed3"),
        ("sha224", "24cbfe1f85b61388125634a680e5f9d72d4fdf8337655a367cf3263a"),
    ],
)
def test_passwords_of_other_methods_are_checked_and_replaced_by_the_usual_one(method: str, hashed: str) -> None:
    simple = {"salt": "salt", "method": method, "hash": hashed}
    account = account_of(document(authData={"active": True, "simple": simple}))
    assert account.has_password("x")
    assert not account.has_password("y")
    account.set_password("y")
    assert (account.method, account.has_password("y")) == ("sha256", True)


def test_the_levels_of_a_document_are_those_that_arangodb_reads() -> None:
    databases = {
        "bare": {},
        "none": {"permissions": {"read": False, "write": False}},
        "write": {"permissions": {"write": True}},
        "mixed": {
            "permissions": {"undefined": True},
            "collections": {"c": {"permissions": {"read": True}}, "u": {"permissions": {"undefined": True}}, "x": {}},
        },
        "empty": {"permissions": {"undefined": True}, "collections": {}},
        "system": {"permissions": {"read": True}, "collections": {"_graphs": {"permissions": {"read": True}}}},
        "*": {"permissions": {"read": True}, "collections": {"c": {"permissions": {"read": True}}}},
        "old": "RW",
        "odd": 7,
    }
    assert account_of(document(databases=databases)).grants == {
        "bare": Grants(NONE),
        "none": Grants(NONE),
        "write": Grants(RW),
        "mixed": Grants(None, {"c": RO}),
        "system": Grants(RO),
        "*": Grants(RO),
        "old": Grants(RW, {"*": RW}),
    }


def test_root_keeps_its_rights_whatever_its_document_says() -> None:
    lowered = {"_system": {"permissions": {"read": True, "write": False}}}
    assert account_of(document(user="root", databases=lowered)).grants == {"_system": Grants(RW, {"*": RW})}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": ""}, "no name"),
        ({"user": None}, "no name"),
        ({"user": ":role:admins"}, "a role of LDAP"),
        ({"authData": {"active": True}}, "no password"),
        ({"authData": None}, "no password"),
        ({"authData": {"simple": {"hash": "h", "salt": "s", "method": "sha256"}}}, "no password"),
        ({"authData": {"active": True, "simple": {"hash": "h", "salt": "s", "method": "md4"}}}, "unknown method 'md4'"),
    ],
)
def test_what_lets_no_user_in_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableUserError, match=reason):
        account_of(document(**changes))


class _As:
    """Requests of one user to a server that enforces authentication."""

    def __init__(self, store: MemoryStore, user: str) -> None:
        self._store = store
        self._header = (b"authorization", b"Basic " + base64.b64encode(f"{user}:x".encode()))

    def send(self, method: str, target: str, body: Any = None) -> tuple[int, bytes, str]:
        raw = b"" if body is None else json.dumps(body).encode()
        outcome = self._store.run(decode_parts(method, target.encode(), [self._header], raw, identified=True))
        return outcome.status, outcome.body, (outcome.header(b"x-arango-dump-id") or b"").decode()


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.server.accounts.enforce("x")
    ann = made.server.accounts.create("ann", "x")
    ann.grants = {"_system": Grants(RO)}
    return made


def test_administrators_dump_users_which_no_user_reads(store: MemoryStore) -> None:
    root, ann = _As(store, "root"), _As(store, "ann")
    status, _, dump = root.send("POST", "/_api/dump/start", {"shards": ["_users"]})
    assert status == 201
    _, lines, _ = root.send("POST", f"/_api/dump/next/{dump}?batchId=1")
    users = [account_of(json.loads(line)) for line in lines.splitlines()]
    assert users == list(store.server.accounts.by_name.values())
    batch = json.loads(root.send("POST", "/_api/replication/batch", {"ttl": 10})[1])["id"]
    target = f"/_api/replication/dump?collection=_users&batchId={batch}"
    assert ann.send("GET", target)[0] == 403
    _, lines, _ = root.send("GET", target)
    assert [account_of(json.loads(line)["data"]).name for line in lines.splitlines()] == ["root", "ann"]
    status, body, _ = ann.send("POST", "/_api/dump/start", {"shards": ["_users"]})
    assert (status, json.loads(body)["errorMessage"]) == (
        403,
        "insufficient permissions to access shard _users of collection _users",
    )
    for user in (root, ann):
        assert user.send("POST", "/_api/cursor", {"query": "FOR u IN _users RETURN u"})[0] == 403
        assert user.send("GET", "/_api/document/_users/1")[0] == 403
