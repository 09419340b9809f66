"""Compare PostgreSQL's accounts with ArangoDB's, and make them equal in one transaction, which proxies notice."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import PreconditionFailed
from proxy.carryover.account_plan import AccountPlan, plan_copy
from proxy.carryover.noted_rights import with_noted_rights
from proxy.carryover.server_reading import OriginServer
from proxy.complete.catalog_storage import read_entries, write_entries
from proxy.state import audit

_NAMED: Final = 5  # collections in a message


async def compare_accounts(database: Database, origin: OriginServer, secret: bytes | None) -> AccountPlan:
    """Return how the accounts differ. secret: of the settings; None: the one of the catalog. Raise DatabaseError."""
    async with database.session() as session:
        stored = await read_entries(session)
        origin = await _as_before(session, origin)
    return plan_copy(origin, stored.entries, secret=secret, new_secret=secrets.token_bytes(32))


async def copy_accounts(
    database: Database, origin: OriginServer, secret: bytes | None, *, actor: str, reason: str | None
) -> AccountPlan:
    """Make the accounts equal to ArangoDB's, and return how they differed. Equal ones change nothing.

    Raise PreconditionFailed if PostgreSQL takes the writes of a collection: from then on its accounts may be ahead.
    Raise DatabaseError.
    """
    while True:
        async with database.transaction() as session:
            taken = await session.fetch(sql.carryover.TAKEN)
            if taken:
                names = ", ".join(taken[:_NAMED]) + (" …" if len(taken) > _NAMED else "")
                raise PreconditionFailed(
                    f"ArangoDB no longer takes the writes of {names}: the accounts of PostgreSQL are the valid ones"
                )
            stored = await read_entries(session)
            origin = await _as_before(session, origin)
            plan = plan_copy(origin, stored.entries, secret=secret, new_secret=secrets.token_bytes(32))
            if not plan.changes:
                return plan
            if await session.fetchrow(sql.complete.RAISE_VERSION, stored.version):
                await write_entries(session, plan.note, plan.forget)
                changes = [{"kind": one.kind, "name": one.name, "change": one.change} for one in plan.changes]
                await audit.record(
                    session, actor=actor, action="copy accounts", reason=reason, detail={"changes": changes}
                )
                return plan


async def _as_before(session: Session, origin: OriginServer) -> OriginServer:
    """Return the server with the rights that its users had before promotions took them."""
    noted = await session.fetch(sql.promotion.NOTED_RIGHTS)
    return replace(origin, accounts=with_noted_rights(origin.accounts, noted))
