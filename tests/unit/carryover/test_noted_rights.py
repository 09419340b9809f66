"""Accounts of ArangoDB as they were before promotions took rights."""

from __future__ import annotations

import pytest

from proxy.carryover.noted_rights import with_noted_rights
from proxy.devserver.store.state.accounts import Account, Grants, Level
from sql.statements.promotion import NotedRightRow


@pytest.mark.parametrize(
    ("now", "granted", "before"),
    [
        ({"shop": Grants(Level.RW, {"a": Level.RO})}, None, {"shop": Grants(Level.RW, {})}),
        ({"shop": Grants(Level.RW, {"a": Level.RO})}, "rw", {"shop": Grants(Level.RW, {"a": Level.RW})}),
        ({"shop": Grants(None, {"a": Level.RO})}, None, {}),
        ({"shop": Grants(None, {"a": Level.RO, "b": Level.RO})}, None, {"shop": Grants(None, {"b": Level.RO})}),
    ],
)
def test_what_was_noted_counts(now: dict[str, Grants], granted: str | None, before: dict[str, Grants]) -> None:
    accounts = {"ann": Account("ann", grants=now), "bob": Account("bob")}
    found = with_noted_rights(accounts, [NotedRightRow("shop/a", "ann", granted), NotedRightRow("shop/a", "x", "rw")])
    assert found["ann"].grants == before
    assert found["bob"] is accounts["bob"]
    assert with_noted_rights({"ann": Account("ann", grants={"shop": Grants()})}, [])["ann"].grants == {}
    assert accounts["ann"].grants["shop"].collections["a"] is Level.RO
