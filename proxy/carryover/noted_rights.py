"""ArangoDB's accounts as they were before promotions took rights from them. Pure.

While a collection is promoted its users may not write it in ArangoDB. In PostgreSQL they may: their accounts there were
copied before. So a comparison of both counts what was noted, not what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

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
        if grants == Grants():
            account.grants.pop(database)
    return before
