"""What happens to a confirmed difference: it is counted, kept as an example, explained.

It counts at once. An explanation takes a worker process and its time: no verdict waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.shadow.account import Account
from proxy.shadow.compare import Difference
from proxy.shadow.explain import Explainer
from proxy.shadow.jobs import Job, Look
from proxy.shadow.samples import Evidence, shown_answers

_WAITING: Final = 16  # mismatches that may wait for their explanation


class Confirmer:
    """Confirms the differences of one proxy; its owner runs `run`."""

    def __init__(
        self,
        account: Account,
        explainer: Explainer,
        begun: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        """begun, ended: called around what goes on after `confirm` has returned."""
        self._account = account
        self._ledger = account.ledger
        self._explainer = explainer
        self._begun = begun
        self._ended = ended
        self._unexplained: asyncio.Queue[tuple[tuple[str, ...], Evidence]] = asyncio.Queue(_WAITING)

    def confirm(self, job: Job, look: Look, difference: Difference) -> None:
        """A mismatch: each of its parts has a fingerprint of its own."""
        for number, part in enumerate(difference.each()):
            self._keep(job, look, part, further=number > 0)

    def _keep(self, job: Job, look: Look, difference: Difference, *, further: bool) -> None:
        """further: another part of a read that is counted already."""
        origin, target = shown_answers(look.origin, look.target, difference)
        evidence = Evidence(job.operation, difference, origin, target, job.route, job.reversed, trace=job.trace)
        new = self._ledger.is_new(job.collections, difference)
        if further:
            self._ledger.found(job.collections, job.shape, evidence, began=look.began)
        else:
            self._account.mismatched(job, evidence, began=look.began)
        if new and self._unexplained.full():
            self._explainer.omitted += 1
        elif new:
            self._unexplained.put_nowait((job.collections, evidence))
            self._begun()

    async def run(self) -> None:
        """Explains, one after the other, for ever."""
        while True:
            collections, evidence = await self._unexplained.get()
            try:
                text = await self._explainer.explain(evidence.origin, evidence.target)
                if text is not None:
                    self._ledger.explained(collections, evidence, text)
            finally:
                self._ended()
