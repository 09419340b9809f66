"""A read that was answered: the shadow gets it, or it is counted as one that nothing compared (I9)."""

from __future__ import annotations

import msgspec

from proxy.gateway.router import Router
from proxy.gateway.service_proxy import Services
from proxy.model.endpoint import Effect
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import Snapshot, Stage
from proxy.routing.header_obstacles import outside
from proxy.routing.route import Route
from proxy.routing.scope import read_of
from proxy.shadow.comparator import Shadow
from proxy.shadow.normalize import normalize, plain_outcome
from proxy.shadow.shape_coverage import NOT_YET, Coverage


class AnsweredReads:
    """Passes the answered reads of one dispatcher to their comparison.

    services: know the API route that a database request belongs to.
    """

    def __init__(self, shadow: Shadow, coverage: Coverage, services: Services, router: Router) -> None:
        self._shadow = shadow
        self._coverage = coverage
        self._services = services
        self._router = router

    def uncompared(self, operation: Operation, way: Route, snapshot: Snapshot) -> None:
        """Count a read that does not go to the shadow, by what it would be compared as."""
        if way.compare:
            return
        reason = way.gap or NOT_YET
        if operation.effect is Effect.QUERY:
            self._uncompared_query(operation, reason, snapshot)
            return
        read = operation.endpoint.read
        collection = read_of(operation) if read.by_key or read.reworded else None
        compared = normalize(operation) if read.reworded and collection is not None else operation
        if collection is None or compared is None:
            return
        if compared.effect is Effect.QUERY:
            names = frozenset({collection.partition("/")[2]})
            self._coverage.query(operation.database, compared.body, names, reason)
        else:
            self._coverage.read(collection, compared.endpoint.name, reason)

    def _uncompared_query(self, operation: Operation, reason: str, snapshot: Snapshot) -> None:
        if not operation.body or not snapshot.database_has(operation.database, Stage.MIRROR):
            return
        facts = self._router.facts(operation)
        if facts is None or facts.modifies:
            return
        names = facts.reads if facts.understood else frozenset()
        if names or not facts.understood:
            self._coverage.query(operation.database, operation.body, names, reason)

    def compare(
        self, request: Request, operation: Operation, answer: Outcome | Response, way: Route, seconds: float
    ) -> None:
        """Hand a read to the shadow. answer: the target's Outcome, or the origin's response.

        What was read in a transaction is read again outside of it. A response that is not whole, or compressed, is
        counted as skipped.
        """
        if not way.compare:
            return
        if isinstance(answer, Response):
            reason = _unreadable(answer)
            if reason:
                compared = normalize(operation)
                if compared is not None:
                    self._shadow.skip(compared, way.collections, reason)
                return
        operation = outside(operation)
        compared, outcome = normalize(operation), _outcome(answer)
        if compared is None:
            return
        if compared is not operation:  # in other words: so is its answer
            try:
                plain = plain_outcome(operation, outcome)
            except (msgspec.DecodeError, UnicodeDecodeError):  # not an answer of ArangoDB's
                plain = None
            if plain is None:
                return
            outcome = plain
        taken = self._shadow.sampled(compared, way.collections, reversed=isinstance(answer, Outcome))
        if taken is None:
            return
        trace = request.header(b"traceparent")
        route, text = self._services.route_of_trace(trace), (trace or b"").decode("latin-1")
        self._shadow.submit(taken, compared, outcome, seconds, route, trace=text)

    def follows(self, operation: Operation) -> bool:
        """Return True if a request continues or ends a cursor whose batches the shadow puts together."""
        return self._shadow.follows(operation)

    def continued(self, operation: Operation, response: Response) -> None:
        """Hand the answer to such a request to the shadow."""
        whole = isinstance(response.body, bytes) and not _unreadable(response)
        self._shadow.continued(operation, Outcome(response.status, _body(response)) if whole else None)


def _unreadable(response: Response) -> str:
    """Return why a response cannot be compared; empty if it can."""
    if not isinstance(response.body, bytes):
        return "too large"
    return "compressed" if response.header(b"content-encoding") is not None else ""


def _body(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def _outcome(answer: Outcome | Response) -> Outcome:
    """Return what the shadow keeps of an answer whose body is whole."""
    if isinstance(answer, Outcome):
        return answer
    return Outcome(answer.status, _body(answer), tuple(answer.headers))
