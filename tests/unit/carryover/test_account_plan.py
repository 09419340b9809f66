"""Which accounts differ from ArangoDB's, and the entries that make them equal."""

from __future__ import annotations

from dataclasses import replace

from proxy.carryover.account_plan import AccountPlan, CopiedChange, plan_copy
from proxy.carryover.server_reading import OriginServer
from proxy.complete.catalog import ACCOUNT, DATABASE, IDENTITY, Entries, Entry, origin_databases, parse_accounts
from proxy.devserver.store.state.accounts import Account, Grants, Level

ROOT = Account("root", "s", "h")
ANN = Account("ann", "s", "h", extra={"a": 1}, grants={"shop": Grants(Level.RO, {"c": Level.RW})})
ORIGIN = OriginServer("17", "h11", {"_system": "1", "shop": "70"}, {"root": ROOT, "ann": ANN}, {}, ())


def plan(origin: OriginServer, entries: Entries, secret: bytes | None = None) -> AccountPlan:
    return plan_copy(origin, entries, secret=secret, new_secret=b"new")


def after(entries: Entries, made: AccountPlan) -> Entries:
    """Return the entries that a plan leaves."""
    return {entry: body for entry, body in (entries | made.note).items() if entry not in made.forget}


def test_a_copy_of_a_copy_changes_nothing() -> None:
    first = plan(ORIGIN, {})
    assert [(one.kind, one.name, one.change) for one in first.changes] == [
        ("server", "identity", "new"),
        ("user", "root", "new"),
        ("user", "ann", "new"),
        ("database", "shop", "new"),
    ]
    entries = after({}, first)
    assert plan(ORIGIN, entries) == AccountPlan((), {}, ())
    accounts = parse_accounts(entries, enforced=True)
    assert (accounts.by_name, accounts.secret) == (dict(ORIGIN.accounts), b"new")
    assert origin_databases(entries) == {"shop": "70"}


def test_each_part_that_differs_is_named() -> None:
    entries = after({}, plan(ORIGIN, {}))
    for part, changed in {
        "password": replace(ANN, password="other"),
        "inactive": replace(ANN, active=False),
        "extra": replace(ANN, extra={}),
        "settings of the web interface": replace(ANN, config={"x": 1}),
        "levels of shop": replace(ANN, grants={"shop": Grants(Level.RO)}),
    }.items():
        found = plan(replace(ORIGIN, accounts={"root": ROOT, "ann": changed}), entries)
        assert found.changes == (CopiedChange("user", "ann", "changed", (part,)),)
        assert parse_accounts(after(entries, found), enforced=True).by_name["ann"] == changed
    wide = replace(ANN, grants=ANN.grants | {"*": Grants(Level.RW)})
    found = plan(replace(ORIGIN, accounts={"root": ROOT, "ann": wide}), entries)
    assert found.changes[0].what == ("levels of *",)


def test_a_user_that_only_postgresql_has_is_removed() -> None:
    entries = after({}, plan(ORIGIN, {}))
    found = plan(replace(ORIGIN, accounts={"root": ROOT}), entries)
    assert (found.changes, found.forget) == ((CopiedChange("user", "ann", "gone"),), (Entry(ACCOUNT, "ann"),))
    assert not found.note


def test_access_tokens_stay_with_their_user() -> None:
    token = {"hash": {"id": 1, "name": "robot", "valid_until": 9}}
    holder = replace(ORIGIN, accounts={"root": ROOT, "ann": replace(ANN, tokens=token)})
    entries = after({}, plan(holder, {}))
    assert plan(ORIGIN, entries).changes == ()
    found = plan(replace(ORIGIN, accounts={"root": ROOT, "ann": replace(ANN, password="p")}), entries)
    assert parse_accounts(after(entries, found), enforced=True).by_name["ann"].tokens == token


def test_the_identity_is_arangodb_s_and_the_secret_that_of_the_settings() -> None:
    entries = after({}, plan(ORIGIN, {}))
    found = plan(replace(ORIGIN, id="18", guid="h12"), entries, secret=b"given")
    what = ("number", "globally unique name", "secret of tokens")
    assert found.changes == (CopiedChange("server", "identity", "changed", what),)
    kept = after(entries, found)
    assert parse_accounts(kept, enforced=True).secret == b"given"
    assert plan(replace(ORIGIN, id="18", guid="h12"), kept) == AccountPlan((), {}, ())
    assert IDENTITY in kept


def test_databases_that_exist_already_keep_their_number() -> None:
    entries = after({}, plan(ORIGIN, {}))
    made = entries | {Entry(DATABASE, "shop"): b'{"id":"1001"}'}
    assert plan(ORIGIN, made).changes == (CopiedChange("database", "shop", "gone"),)
    renumbered = plan(replace(ORIGIN, databases={"shop": "71", "blog": "72"}), entries)
    assert renumbered.changes == (
        CopiedChange("database", "blog", "new"),
        CopiedChange("database", "shop", "changed", ("number",)),
    )
