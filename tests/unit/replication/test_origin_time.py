"""ArangoDB's clock is read often until it is known, and rarely if ArangoDB refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from proxy.base.errors import ArangoError, UpstreamUnavailable
from proxy.model.clock import OriginClock
from proxy.replication.origin_time import OriginTime


class _Origin:
    """Answers from a list; the last answer is repeated."""

    def __init__(self, answers: Sequence[int | Exception]) -> None:
        self._answers = list(answers)

    async def time_now(self, _database: str) -> int:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def written_since(self, *_: object) -> list[tuple[str, int]]:
        raise NotImplementedError


async def _pauses(answers: Sequence[int | Exception], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses before the first three further readings."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        if len(pauses) == 3:
            raise asyncio.CancelledError
        pauses.append(seconds)

    time = OriginTime(_Origin(answers), OriginClock())
    await time.read_first()
    with monkeypatch.context() as patched, contextlib.suppress(asyncio.CancelledError):
        patched.setattr(asyncio, "sleep", sleep)
        await time.run()
    return pauses


@pytest.mark.parametrize("refusal", [ArangoError(11, "not authorized", status=401), IndexError()])
async def test_a_refused_account_is_tried_rarely(refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _pauses([refusal], monkeypatch) == [10.0, 10.0, 10.0]


async def test_an_absent_arangodb_is_tried_often_until_the_clock_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int | Exception] = [UpstreamUnavailable("away"), UpstreamUnavailable("away"), 1_700_000_000_000]
    assert await _pauses(answers, monkeypatch) == [0.1, 0.1, 10.0]
