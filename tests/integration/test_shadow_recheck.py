"""How differences are rechecked, and which values keep changing: a real PostgreSQL, ArangoDB in memory."""

from __future__ import annotations

import asyncio

from proxy.model.operations import Operation
from proxy.operator.mismatches import list_mismatches
from proxy.shadow.peer_lag import PeerLag
from tests.ad_hoc import Database
from tests.integration.recheck_fixtures import stack
from tests.integration.shadow_fixtures import C, Stack, shadow_with_rules, stack_on
from tests.integration.target_fixtures import put

__all__ = ["stack"]  # fixtures


async def report_peer_lag(database: Database, instance: str, lag: float = 0.0) -> None:
    await database.execute(
        "INSERT INTO _crossfade.instance (instance, host, pid, version) VALUES ($1, 'h', 1, '1') "
        "ON CONFLICT (instance) DO UPDATE SET heartbeat_at = clock_timestamp(), lag_seconds = $2",
        instance,
        lag,
    )


# ---- the other proxies


async def test_a_write_that_another_proxy_has_not_applied_yet_is_lag(database: Database) -> None:
    """I8: this proxy's mirror has nothing to do; the write came through another one, whose intent is open."""
    stack = await stack_on(database)
    stack.shadow = shadow_with_rules(stack, PeerLag(database, "me"))
    await stack.shadow.start()
    await report_peer_lag(database, "me")
    await report_peer_lag(database, "other")
    await stack.insert_both("a", x=1)
    late = stack.insert("a", x=2)

    reading = asyncio.create_task(stack.read())
    for n in range(20):  # the other one has an intent open from before
        await report_peer_lag(database, "other", lag=10.0 + n)
        await asyncio.sleep(0.05)
    assert not reading.done()
    await put(database, C, late)
    while not reading.done():
        await report_peer_lag(database, "other")
        await asyncio.sleep(0.02)

    assert await stack.counts() == {"compared": 1, "matched": 1, "lagged": 1}
    assert await list_mismatches(database) == []
    await stack.close()


async def test_a_recheck_stays_undecided_while_a_proxy_is_silent(database: Database) -> None:
    """The silent proxy's backlog is unknown: the read stays undecided and is never a mismatch."""
    stack = await stack_on(database, recheck_timeout=1.0)
    stack.shadow = shadow_with_rules(stack, PeerLag(database, "me"))
    await stack.shadow.start()
    await report_peer_lag(database, "silent")
    await stack.insert_both("a", x=1)
    stack.insert("a", x=2)

    await stack.read()

    assert await stack.counts() == {"compared": 1, "undecided": 1}
    await stack.close()


async def test_a_difference_that_lag_cannot_explain_is_a_mismatch_despite_a_silent_proxy(database: Database) -> None:
    """One revision, two contents: of an answer of many documents the certain part counts, the rest is undecided."""
    stack = await stack_on(database, recheck_timeout=0.5)
    stack.shadow = shadow_with_rules(stack, PeerLag(database, "me"))
    await stack.shadow.start()
    await report_peer_lag(database, "silent")
    await stack.insert_both("a", x=1)
    await stack.insert_both("b", x=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    stack.insert("b", x=2)

    await stack.compare("PUT", "/_api/document/docs?onlyget", ["a", "b"])

    assert await stack.mismatches() == [("value", ("x",), ("a",))]
    await stack.close()


# ---- races of values


async def test_an_alternating_counter_is_not_a_mismatch(database: Database) -> None:
    """I8: the origin shows 1 at every read; the target, which lags, shows the 2 from in between."""
    stack = await stack_on(database)
    stack.shadow = shadow_with_rules(stack)
    await stack.shadow.start()
    await stack.insert_both("a", n=1)
    stack.insert("a", n=1)
    await put(database, C, stack.insert("a", n=2))  # the target is there
    stack.insert("a", n=1)  # and the origin back
    looks = 0

    def alternate_value(operation: Operation) -> None:
        nonlocal looks
        if operation.endpoint.name == "collection.revision":
            looks += 1
            if looks == 5:  # at last the mirror is done
                stack.catching_up.append(stack.insert("a", n=1))
            stack.insert("a", n=2)
            stack.insert("a", n=1)

    stack.origin.before = alternate_value

    await stack.query("FOR d IN docs RETURN d.n")

    assert await stack.mismatches() == []
    assert (await stack.counts())["matched"] == 1
    await stack.close()


async def test_values_that_stay_different_are_a_mismatch(stack: Stack) -> None:
    await stack.insert_both("a", n=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"n":1', b'"n":5'))

    await stack.query("RETURN SUM(FOR d IN docs RETURN d.n)")

    assert await stack.mismatches() == [("value", ("[]",), ())]


async def test_frequently_written_documents_that_the_target_follows_are_lag(database: Database) -> None:
    """The target never equals the origin, and always equals its state of a moment ago."""
    stack = await stack_on(database, recheck_timeout=5.0)
    stack.shadow = shadow_with_rules(stack)
    await stack.shadow.start()
    await stack.insert_both("a", n=0)
    versions = [stack.insert("a", n=1)]

    async def apply_previous_version(_collection: str, _timeout: float) -> bool:
        versions.append(stack.insert("a", n=len(versions) + 1))
        await put(database, C, versions[-2])
        return True

    stack.shadow._rechecker._caught_up = apply_previous_version

    await stack.read()

    assert await stack.counts() == {"compared": 1, "matched": 1, "lagged": 1}
    await stack.close()
