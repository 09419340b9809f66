"""The rights of ArangoDB's users to write the collections, user by user; the first is that of the proxies' clients.

No process owns the change: any that finds rights which the writer does not demand sends a request for each such user.
A request may run late, after what it was sent for has been given up.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.promotion.control import acknowledged
from tests.model.promotion.state import DEMOTING, FLIPPED, HOLD, PROMOTED, SHADOW, State, Step, World


def steps(world: World, state: State) -> Iterator[Step]:
    if not world.bounds.users or state.down:
        return
    yield from _note(world, state)
    rules = world.rules
    taking = (
        (state.stage == HOLD and rules.rights_before_commit and acknowledged(world, state) and bool(state.noted))
        or (state.stage == PROMOTED and bool(state.noted))
        or (state.stage == DEMOTING and rules.rights_back_after_commit)
    )
    giving = state.stage in (FLIPPED, SHADOW) or (state.stage == DEMOTING and not rules.rights_back_after_commit)
    for user, right in enumerate(state.rights):
        had = bool(state.noted) and state.noted[user]
        if taking and right and (user, False) not in state.requests:
            yield "request: take a right away", _requests(state, (*state.requests, (user, False)))
        if giving and had and not right and (user, True) not in state.requests:
            yield "request: give a right back", _requests(state, (*state.requests, (user, True)))
    for request in state.requests:
        user, granted = request
        rights = tuple(granted if one == user else right for one, right in enumerate(state.rights))
        rest = tuple(one for one in state.requests if one != request)
        yield "ArangoDB changes a right", _requests(state._replace(rights=rights), rest)


def _note(world: World, state: State) -> Iterator[Step]:
    """Write what the users had to PostgreSQL before the first of them loses it; forget it when all have it again."""
    takes = state.stage == (HOLD if world.rules.rights_before_commit else PROMOTED)
    again = not world.rules.rights_noted_once and state.noted != state.rights
    if takes and acknowledged(world, state) and (not state.noted or again):
        yield "note the rights", state._replace(noted=state.rights)
    restored = state.stage in (FLIPPED, SHADOW) and state.rights == state.noted
    if restored and state.noted and not (state.requests and world.rules.note_outlives_requests):
        yield "forget the rights", state._replace(noted=())


def _requests(state: State, requests: tuple[tuple[int, bool], ...]) -> State:
    return state._replace(requests=tuple(sorted(requests)))
