"""Rules of the shadow: tolerances, sampling, redaction, retention, exported mismatches."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from proxy.base.errors import PreconditionFailed
from proxy.devserver.repro_run import reproduce
from proxy.model.operations import Operation
from proxy.operator import repro_bundle as bundles
from proxy.operator import rules_admin
from proxy.operator.mismatches import find_mismatch, list_mismatches, show_mismatch
from proxy.shadow.result_store import ResultStore
from proxy.shadow.sampling_rules import SamplingRules
from tests.ad_hoc import Database
from tests.integration.recheck_fixtures import stack
from tests.integration.shadow_fixtures import C, Origin, Stack, hand_over, shadow_with_rules, stack_on
from tests.integration.target_fixtures import remove

__all__ = ["stack"]  # fixtures


# ---- tolerances


async def test_tolerated_differences_are_counted(stack: Stack) -> None:
    await stack.insert_both("a", price=1.0, at=1)
    await stack.change_target(
        "a", lambda raw: raw.replace(b'"price":1.0', b'"price":1.0000001').replace(b'"price":1,', b'"price":1.0000001,')
    )
    rule = rules_admin.checked(C, "price", "round", 3)
    identifier = await rules_admin.add(stack.database, rule, reason="floats", actor="me")
    await stack.shadow._rules.refresh()

    await stack.read()
    await stack.compare("PUT", "/_api/document/docs?onlyget", ["a"])
    await stack.query("FOR d IN docs RETURN d")

    assert await list_mismatches(stack.database) == []
    row = await stack.database.fetchrow("SELECT * FROM _crossfade.comparison WHERE collection = $1", C)
    assert row is not None
    assert (row["compared"], row["matched"], row["ignored"], row["mismatched"]) == (3, 0, 3, 0)
    (tolerance,) = await rules_admin.tolerances(stack.database, C)
    assert (tolerance.rule, tolerance.argument, tolerance.seen) == ("round", 3.0, 3)

    await stack.change_target("a", lambda raw: raw.replace(b'"at":1', b'"at":2'))
    await stack.read()
    assert await stack.mismatches() == [("value", ("at",), ("a",))]
    assert str(await rules_admin.remove(stack.database, identifier, reason="done", actor="me")) == "round price 3"
    audited = await stack.database.fetch("SELECT action FROM _crossfade.audit ORDER BY id")
    assert [entry["action"] for entry in audited] == ["add tolerance", "remove tolerance"]


@pytest.mark.parametrize(
    ("path", "rule", "argument", "reason"),
    [
        ("x", "forget", None, "is not a rule"),
        ("x", "round", None, "needs a number"),
        ("x", "seconds", 0.0, "needs a number"),
        ("x", "set", 1.0, "takes no number"),
        ("x[1]", "ignore", None, "is no path"),
        ("_rev", "ignore", None, "name a document"),
    ],
)
def test_an_invalid_rule_is_refused(path: str, rule: str, argument: float | None, reason: str) -> None:
    with pytest.raises(PreconditionFailed, match=reason):
        rules_admin.checked(C, path, rule, argument)


# ---- baseline: ArangoDB against ArangoDB


async def test_baseline_differences_are_subtracted_and_shown(database: Database) -> None:
    stack = await stack_on(database, baseline_percent=100)
    stack.shadow = shadow_with_rules(stack)
    await stack.shadow.start()
    await stack.insert_both("a", score=1, x=1)
    _vary_scores(stack.origin)

    async def ask() -> None:
        operation, _ = stack.ask("POST", "/_api/cursor", {"query": "FOR d IN docs RETURN d"})
        hand_over(stack.shadow, operation, await stack.origin.execute(operation), (C,))
        await stack.shadow.idle()

    for _ in range(3):
        await ask()
        while stack.shadow._baseline.waiting:
            await asyncio.sleep(0.01)
        await stack.shadow.idle()
        await stack.ledger.flush()
        await stack.shadow._rules.refresh()

    own = {(row.kind, row.path): row for row in await rules_admin.baseline(database, C)}
    assert ("value", "[].score") in own
    assert own["value", "[].score"].subtracted >= 1
    assert stack.verdicts[-1].kind == "ignored"
    assert stack.verdicts[-1].reason == "ArangoDB differs from itself"

    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    await ask()
    assert await stack.mismatches() == [("value", ("[].x",), ("a",))]
    assert await rules_admin.reset_baseline(database, C, reason=None, actor="me") > 0
    await stack.close()


def _vary_scores(origin: Origin) -> None:
    """Give every answer to a query another score, though nothing is written."""
    plain, calls = origin.execute, iter(range(10, 10_000))

    async def execute(operation: Operation) -> Any:
        outcome = await plain(operation)
        if operation.endpoint.name != "cursor.create":
            return outcome
        return type(outcome)(
            outcome.status, outcome.body.replace(b'"score":1', b'"score":%d' % (next(calls) % 2 + 5)), outcome.headers
        )

    origin.execute = execute  # type: ignore[method-assign]


async def test_a_write_between_two_baseline_reads_records_no_difference(database: Database) -> None:
    """Recorded differences hide mismatches, so a race must not be recorded."""
    stack = await stack_on(database, baseline_percent=100)
    stack.shadow = shadow_with_rules(stack)
    await stack.shadow.start()
    raw = await stack.insert_both("a", n=0)
    numbers = iter(range(1, 1000))

    def write(operation: Operation) -> None:
        if operation.endpoint.name != "collection.revision":
            stack.insert("a", n=next(numbers))

    stack.origin.before = write

    operation, outcome = stack.ask("GET", "/_api/document/docs/a")
    assert outcome.body == raw
    hand_over(stack.shadow, operation, outcome, (C,))
    await stack.shadow.idle()
    while not (found := await rules_admin.baseline(database, C)):
        await asyncio.sleep(0.02)
        await stack.ledger.flush()

    assert [(row.kind, row.path) for row in found] == [("undecided", "")]
    await stack.close()


# ---- sampling


async def test_a_collection_and_a_shape_have_their_own_sampling_rates(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.read()
    await rules_admin.share(stack.database, [C], "", percent=0, baseline_percent=None, actor="me", reason=None)
    await rules_admin.share(
        stack.database, [C], "document.read", percent=100, baseline_percent=5, actor="me", reason=None
    )
    await stack.shadow._rules.refresh()

    await stack.read()
    await stack.compare("HEAD", "/_api/document/docs/a")
    await stack.query("FOR d IN docs RETURN d")

    assert await stack.counts() == {"compared": 2, "matched": 2}
    assert stack.shadow.skips(C) == {"sampled out": 2}
    shares = stack.shadow._rules.shares((C,), "document.read")
    assert (shares.sampled, shares.baseline) == (1.0, 0.05)
    assert stack.shadow._rules.shares((C, "db/other"), "q").sampled == 0.0  # the smallest
    rows = await rules_admin.sampling(stack.database, C)
    assert [(row.shape, row.percent, row.baseline_percent) for row in rows] == [
        ("", 0.0, None),
        ("document.read", 100.0, 5.0),
    ]
    with pytest.raises(PreconditionFailed, match="no query shape begins so"):
        await rules_admin.share(
            stack.database, [C], "nonsense", percent=1, baseline_percent=None, actor="me", reason=None
        )
    await rules_admin.share(stack.database, [C], "", percent=None, baseline_percent=None, actor="me", reason=None)
    assert len(await rules_admin.sampling(stack.database)) == 1
    skipped = await stack.database.fetch("SELECT reason, sum(number) AS n FROM _crossfade.skipped GROUP BY reason")
    assert [(row["reason"], row["n"]) for row in skipped] == [("sampled out", 2)]


async def test_rules_stay_in_force_while_postgresql_is_away(database: Database) -> None:
    stack = await stack_on(database)
    rules = SamplingRules(stack.settings, database)
    await rules_admin.share(database, [C], "", percent=1, baseline_percent=None, actor="me", reason=None)
    await rules.start()
    assert rules.shares((C,), "x").sampled == 0.01
    await rules.close()


# ---- retention, export


async def test_old_samples_are_deleted_and_open_mismatches_kept(stack: Stack) -> None:
    for key in "ab":
        await stack.insert_both(key, x=1, y=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    await stack.change_target("b", lambda raw: raw.replace(b'"y":1', b'"y":2'))
    await stack.read("a")
    await stack.read("b")
    await stack.database.execute("UPDATE _crossfade.mismatch SET last_seen = now() - interval '31 days'")
    await stack.database.execute("UPDATE _crossfade.mismatch SET state = 'repaired' WHERE 'a' = ANY (keys)")

    assert await stack.ledger.purge() == 2
    (remaining,) = await list_mismatches(stack.database, state=None)
    shown = await show_mismatch(stack.database, remaining.id)
    assert shown is not None
    assert (shown.keys, shown.state, shown.samples) == (("b",), "open", ())
    with pytest.raises(PreconditionFailed, match="no sample any more"):
        await bundles.build(stack.database, stack.origin, shown, whole=False)  # type: ignore[arg-type]


async def test_paths_are_redacted_in_samples(database: Database) -> None:
    stack = await stack_on(database, redact_paths=["email", "people[].name"])
    await stack.shadow.start()
    await stack.insert_both("a", email="ada@example.org", people=[{"name": "Ada", "age": 36}], x=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2').replace(b"ada@", b"eve@"))
    await stack.read()
    await stack.query("FOR d IN docs RETURN {m: d.email, people: d.people, x: d.x}")

    stored = str(await database.fetch("SELECT samples::text FROM _crossfade.mismatch"))
    assert "Ada" not in stored
    assert "36" in stored
    await stack.close()


class Reader:
    """The reads of a bundle, answered by the store in memory."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    async def execute(self, operation: Operation) -> Any:
        return await self._origin.memory.execute(operation)

    async def read(self, database: str, collection: str, keys: Any) -> dict[str, bytes | None]:
        found = self._origin.memory
        answers = {key: await found.execute(_document(database, collection, key)) for key in keys}
        return {key: answer.body if answer.status == 200 else None for key, answer in answers.items()}

    async def revisions(self, database: str, collection: str, after: str, upper: Any, limit: int) -> list[Any]:
        body = {"query": f"FOR d IN {collection} SORT d._key RETURN [d._key, 1]"}
        outcome = await self._origin.memory.execute(_query(database, body))
        return [tuple(row) for row in orjson.loads(outcome.body)["result"]]


def _document(database: str, collection: str, key: str) -> Operation:
    from proxy.wire.decode import decode_parts

    return decode_parts("GET", f"/_db/{database}/_api/document/{collection}/{key}".encode(), [])


def _query(database: str, body: dict[str, Any]) -> Operation:
    from proxy.wire.decode import decode_parts

    return decode_parts("POST", f"/_db/{database}/_api/cursor".encode(), [], orjson.dumps(body))


async def test_a_mismatch_is_exported_and_reproduced(stack: Stack) -> None:
    for key in "abc":
        await stack.insert_both(key, n=1, text="Zoë \u0000")
    await stack.change_target("a", lambda raw: raw.replace(b'"n":1', b'"n":2'))
    await remove(stack.database, C, ["b"])
    await stack.read("a")
    await stack.query("FOR d IN docs FILTER d.n == @n SORT d._key RETURN d._key", {"n": 1}, batchSize=1)
    rows = {row.paths: row for row in await list_mismatches(stack.database, C)}

    for row in rows.values():
        found = await show_mismatch(stack.database, row.id)
        assert found is not None
        assert await find_mismatch(stack.database, row.fingerprint[:12]) == row.id
        bundle_bytes = await bundles.build(stack.database, Reader(stack.origin), found, whole=False)  # type: ignore[arg-type]
        bundle = bundles.read(orjson.dumps(bundle_bytes))
        reproduced = await reproduce(stack.database, bundle)
        assert reproduced is not None
        assert (reproduced.kind.value, reproduced.paths) == (row.kind, row.paths)
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.collection") == 1  # nothing is left behind
    assert await find_mismatch(stack.database, "none") is None


def test_an_invalid_bundle_is_refused() -> None:
    for text, reason in ((b"no", "no bundle"), (b"{}", "of this version")):
        with pytest.raises(PreconditionFailed, match=reason):
            bundles.read(text)
    redacted = orjson.dumps({"format": bundles.FORMAT, "reproducible": False})
    with pytest.raises(PreconditionFailed, match="redacted"):
        bundles.read(redacted)


async def test_an_unsupported_redaction_path_prevents_the_start(database: Database) -> None:
    from proxy.base.config import Settings
    from proxy.base.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="CROSSFADE_REDACT_PATHS"):
        ResultStore(database, Settings(redact_paths=["a[1]"]))
