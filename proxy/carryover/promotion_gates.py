"""The gates of a promotion: read what they look at in both databases and of every proxy, and judge.

Nothing is changed but the canaries, which are Crossfade's own documents. What cannot be read is evidence as well: the
gate that needs it is inconclusive and says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import sql
from proxy import __version__
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed, UpstreamError
from proxy.base.token_secret import token_secret
from proxy.carryover.account_copy import compare_accounts
from proxy.carryover.account_plan import AccountPlan
from proxy.carryover.clock_reading import read_clocks
from proxy.carryover.collection_handover import plan_handover
from proxy.carryover.collection_taking import find_duplicates, read_origin_state, read_target_state
from proxy.carryover.left_behind import read_services
from proxy.carryover.server_reading import read_server
from proxy.carryover.shape_support import SeenRequests, served_fact
from proxy.control import gate_inputs, thresholds
from proxy.control.gates.gate_types import Gate, GatedChange, GateEvidence, ShapeFact
from proxy.control.gates.gates import evaluate, missing_gates
from proxy.control.gates.promotion_evidence import (
    AccountsFact,
    CanaryFact,
    DefinitionsFact,
    FlippedFact,
    OpenTransactionFact,
    OwnAccountFact,
    PromotionEvidence,
    ProxyFact,
    RehearsalFact,
    RehearsedShape,
)
from proxy.control.preflight import InstanceAnswer, ask_canary, ask_instances
from proxy.model.stages import Stage
from proxy.rehearsal.rehearsed_shapes import RehearsedShapes, WriteShape, rehearsed_shapes
from proxy.semantics.unique_index import uniques_of

_REFUSALS: Final = (UpstreamError, ArangoError, PreconditionFailed)


async def judge_promotion(
    database: Database, settings: Settings, origin: OriginClient, collections: Sequence[str]
) -> Mapping[str, tuple[Gate, ...]]:
    """Return the gates of a promotion of collections (`database/name`) in one request. Raise DatabaseError.

    It reads every key and, for a unique index, every document of each: before writes are held.
    """
    limits = await thresholds.read(database)
    registered = [row for row in await database.fetch(sql.control.INSTANCES) if row.stopped_at is None]
    common = await _common(database, settings, origin, registered)
    databases = sorted({collection.partition("/")[0] for collection in collections})
    canaries = {name: await _canaries(registered, name) for name in databases}
    rehearsed = {one.collection: one for one in await rehearsed_shapes(database, collections)}
    found: dict[str, tuple[Gate, ...]] = {}
    for collection, evidence in (await gate_inputs.read_both(database, origin, collections, limits)).items():
        if evidence is None:
            found[collection] = missing_gates(collection, GatedChange.PROMOTION)
            continue
        shapes = rehearsed[collection]
        of_it = replace(common, canaries=canaries[collection.partition("/")[0]], rehearsal=rehearsal_fact(shapes))
        promotion = await _of_collection(database, origin, evidence, of_it, shapes, collections)
        found[collection] = evaluate(replace(evidence, promotion=promotion), limits, GatedChange.PROMOTION)
    return found


# ---- the same for every collection


async def _common(
    database: Database, settings: Settings, origin: OriginClient, registered: Sequence[sql.control.InstanceRow]
) -> PromotionEvidence:
    control = await database.fetchval(sql.control.CONTROL)
    answers = await ask_instances(registered, control.generation)
    return PromotionEvidence(
        accounts=await _accounts(database, settings, origin, answers),
        clocks=await read_clocks(database, origin, registered),
        proxies=tuple(
            ProxyFact(row.instance, row.version, answer.trouble)
            for row, answer in zip(registered, answers, strict=True)
        ),
        version=__version__,
        own_account=own_account_fact(settings.origin_user, answers),
    )


async def _canaries(registered: Sequence[sql.control.InstanceRow], name: str) -> tuple[CanaryFact, ...]:
    """Let each instance prove the channel to a database, one after the other."""
    return tuple([CanaryFact(row.instance, *await ask_canary(row, name)) for row in registered])


def own_account_fact(user: str, answers: Sequence[InstanceAnswer]) -> OwnAccountFact | None:
    """Return how many requests had Crossfade's own account; None if an instance does not show that. Pure."""
    counts = [(one.instance, one.own_requests) for one in answers]
    known = [(instance, number) for instance, number in counts if number is not None]
    if not known or len(known) < len(counts):
        return None
    seconds = min(one.watched_seconds for one in answers)
    return OwnAccountFact(user, seconds, tuple((instance, number) for instance, number in known if number))


def rehearsal_fact(found: RehearsedShapes) -> RehearsalFact:
    """Return what was rehearsed, as the gate sees it. Pure."""
    shapes = (RehearsedShape(one.text, one.seen, one.rehearsed, one.different) for one in found.shapes)
    return RehearsalFact(tuple(shapes), found.open_mismatches)


async def _accounts(
    database: Database, settings: Settings, origin: OriginClient, answers: Sequence[InstanceAnswer]
) -> AccountsFact:
    try:
        server = await read_server(origin, settings.origin_user)
        required = await origin.requires_credentials()
    except _REFUSALS as error:
        return AccountsFact(str(error))
    plan = await compare_accounts(database, server, token_secret(settings))
    known = {"this command": settings.authentication, **{one.instance: one.authentication for one in answers}}
    enforcement = enforcement_differences(known, required=required)
    return AccountsFact("", len(server.accounts), account_differences(plan), server.with_tokens, enforcement)


def enforcement_differences(known: Mapping[str, bool | None], *, required: bool) -> tuple[str, ...]:
    """Return who requires credentials and ArangoDB does not, or the reverse, in words. known: by name. Pure.

    A client that sends none would be refused after the promotion, or one that ArangoDB refuses would be let in.
    """
    word, other = ("requires", "does not") if required else ("does not require", "does")
    return tuple(
        f"ArangoDB {word} credentials, {name} {other}" for name, of in known.items() if of not in (required, None)
    )


def account_differences(plan: AccountPlan) -> tuple[str, ...]:
    """Return the differences in words: `user ann: changed (password)`. Pure."""
    return tuple(
        f"{one.kind} {one.name}: {one.change}" + (f" ({', '.join(one.what)})" if one.what else "")
        for one in plan.changes
    )


# ---- one collection


async def _of_collection(
    database: Database,
    origin: OriginClient,
    evidence: GateEvidence,
    common: PromotionEvidence,
    rehearsed: RehearsedShapes,
    collections: Sequence[str],
) -> PromotionEvidence:
    collection = evidence.collection
    name = collection.partition("/")[0]
    flipped = await database.fetchrow(sql.promotion_gates.FLIPPED, collection)
    transactions = await database.fetch(sql.promotion_gates.TRANSACTIONS, name)
    states = await database.fetch(sql.control.COLLECTION_STAGES)
    moving = {*collections, *(row.collection for row in states if Stage(row.stage).at_least(Stage.PROMOTED))}
    return replace(
        common,
        flipped=None if flipped is None else FlippedFact(*flipped),
        served=served_fact(await _seen(database, origin, evidence, rehearsed), moving),
        definitions=await _definitions(database, origin, collection),
        transactions=tuple(OpenTransactionFact(row.id, row.instance, row.seconds, row.lost) for row in transactions),
    )


async def _seen(
    database: Database, origin: OriginClient, evidence: GateEvidence, rehearsed: RehearsedShapes
) -> SeenRequests:
    collection = evidence.collection
    name, _, rest = collection.partition("/")
    shared = await database.fetch(sql.promotion_gates.SAME_SHAPE, collection)
    passed = await database.fetch(sql.promotion_gates.OF_NO_COLLECTION, name)
    try:
        views = await origin.view_links(name)
        services = await read_services(origin, name)
    except (UpstreamError, ArangoError) as error:
        views, services = {}, (f"ArangoDB does not show its views and services ({error}): one of them",)
    return SeenRequests(
        collection,
        (*evidence.shapes, *map(as_shape_fact, rehearsed.shapes)),
        evidence.gaps,
        {row.shape: tuple(row.collections) for row in shared},
        {row.endpoint: row.seen for row in passed},
        tuple(view for view, linked in views.items() if rest in linked),
        services,
    )


def as_shape_fact(write: WriteShape) -> ShapeFact:
    """Return a shape of writes as one of reads; an endpoint without the parameters of its request. Pure."""
    endpoint = write.text.partition(" ")[0]
    name, text = (endpoint, endpoint) if write.shape == write.text else (write.shape, write.text)
    return ShapeFact(name, text, write.seen, write.rehearsed, write.rehearsed)


async def _definitions(database: Database, origin: OriginClient, collection: str) -> DefinitionsFact:
    """Return what the collection takes with it, and which documents violate its unique indexes."""
    try:
        shown = await read_origin_state(origin, collection)
        async with database.session() as session:
            handover = plan_handover(collection, shown, await read_target_state(session, collection))
            duplicates = await find_duplicates(session, handover)
    except _REFUSALS as error:
        return DefinitionsFact(str(error))
    refused = (*handover.refused, *handover.one_way)
    return DefinitionsFact("", refused, handover.kept_only, len(uniques_of(handover.indexes)), duplicates)
