"""The composition: what it makes of its parts' answers."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.app.application import Application
from proxy.app.listening import listen
from proxy.base.errors import ConfigurationError
from proxy.http import Listener
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition

SHADOW, FLIPPED = CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)


async def test_what_is_on_its_way_to_postgresql_is_taken_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its epoch may be committed while the control row is waited for: an opaque write would wait for ever."""
    asked: list[Sequence[str]] = []

    async def rollback(_: object, collections: Sequence[str], **__: object) -> None:
        asked.append(collections)

    monkeypatch.setattr("proxy.app.application.controller.rollback", rollback)
    snapshot = Snapshot(
        phase=Phase.DRAIN,
        collections={"shop/moving": SHADOW, "shop/flipped": FLIPPED, "shop/still": SHADOW, "other/flipped": FLIPPED},
        transitions={"shop/moving": Transition("shop/moving", SHADOW, FLIPPED)},
    )
    one = SimpleNamespace(lease=SimpleNamespace(snapshot=snapshot), database=None, instance="one")
    await Application._roll_back(cast("Any", one), ["shop/*"], "a transaction")
    assert asked == [["shop/moving", "shop/flipped"]]


async def test_an_address_that_cannot_be_had_is_a_sentence() -> None:
    async def handler(_: object) -> Any:
        raise AssertionError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = Listener(handler, port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="CROSSFADE_LISTEN_PORT"):
            await listen(listener)
