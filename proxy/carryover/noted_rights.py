"""ArangoDB's accounts as they were before promotions took rights from them. Pure.

While a collection is promoted its users may not write it in ArangoDB. In PostgreSQL they may: their accounts there were
copied before. So a comparison of both counts what was noted, not what is left. When rights were given back, ArangoDB
may keep an empty entry of the database, which grants nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

from proxy.devserver.store.state.accounts import Account, Grants, level_of
from sql.statements.promotion import NotedRightRow


def with_noted_rights(accounts: Mapping[str, Account], noted: Sequence[NotedRightRow]) -> dict[str, Account]:
    """Return the accounts with what was noted of them, in place of what a promotion granted."""
    before = dict(accounts)
    for row in noted:
        if row.username not in accounts:
            continue
        if before[row.username] is accounts[row.username]:
            before[row.username] = deepcopy(accounts[row.username])
        account = before[row.username]
        database, _, name = row.collection.partition("/")
        grants = account.grants.setdefault(database, Grants())
        if row.granted is None:
            grants.collections.pop(name, None)
        else:
            grants.collections[name] = level_of(row.granted)
    return {name: _without_empty(account) for name, account in before.items()}


def _without_empty(account: Account) -> Account:
    """Return the account without entries of databases that grant nothing."""
    if Grants() not in account.grants.values():
        return account
    return replace(account, grants={name: grants for name, grants in account.grants.items() if grants != Grants()})
