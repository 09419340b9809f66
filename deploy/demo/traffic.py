"""Live traffic: all clients together, each in its own thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent import futures

from deploy.demo.client import DemoClient
from deploy.demo.fake_data import Document
from deploy.demo.traffic_stats import TrafficConditions, TrafficTally


class DemoTraffic:
    """All clients together."""

    def __init__(
        self, url: str, users: Sequence[str], *, clients: int = 6, rate: float = 150.0, password: str = ""
    ) -> None:
        self.conditions = TrafficConditions(url)
        self.clients = [
            DemoClient(number, users[number::clients], self.conditions, rate / clients, password)
            for number in range(clients)
        ]

        self._threads = futures.ThreadPoolExecutor(clients, thread_name_prefix="client")
        self._running: list[futures.Future[None]] = []

    def own(self, collection: str, documents: Sequence[Document]) -> None:
        """Add documents that exist already, with their keys."""
        for client in self.clients:
            client.own(collection, documents)

    def reserve(self, keys: Iterable[str]) -> None:
        """Set the keys that clients read, and never write."""
        for client in self.clients:
            client.reserved = frozenset(keys)

    def start(self) -> None:
        self._running = [self._threads.submit(client.run) for client in self.clients]

    def stop(self) -> None:
        """Stop, and wait for the requests in progress. Raise what a client failed with."""
        self.conditions.stopping = True
        self._threads.shutdown()
        self.check()

    def check(self) -> None:
        """Raise what a client failed with, if one did."""
        for running in self._running:
            if running.done():
                running.result()

    def to(self, url: str, phase: str) -> None:
        """Send requests there from the next one on."""
        self.conditions.phase = phase
        self.conditions.url = url

    def phase(self, name: str, *, hurry: bool = False) -> None:
        """Name what follows in the figures. hurry: clients read by key without a pause."""
        self.conditions.phase = name
        self.conditions.hurry = hurry

    def expect_cuts(self) -> None:
        """Call before the proxy is killed."""
        self.conditions.down = True
        self.conditions.cuts += 1

    def end_cuts(self) -> None:
        """Call when the proxy is there again."""
        self.conditions.cuts += 1
        self.conditions.down = False

    def tally(self) -> TrafficTally:
        total = TrafficTally()
        for client in self.clients:
            total.add(client.tally)
        return total

    def expected(self) -> dict[str, dict[str, Document]]:
        """Return every acknowledged document of all clients, by collection and key."""
        everything: dict[str, dict[str, Document]] = {}
        for client in self.clients:
            for collection, documents in client.expected.documents.items():
                everything.setdefault(collection, {}).update(documents)
        return everything
