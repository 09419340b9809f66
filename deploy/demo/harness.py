"""The parts that the steps of the demo use, made once for a run: servers, clients, figures, and who asks for them."""

from __future__ import annotations

from rich.console import Console

from deploy.demo import fake_data
from deploy.demo.cli_runner import DemoFailed
from deploy.demo.databases import Databases
from deploy.demo.demo_options import SERVICE, DemoOptions
from deploy.demo.loader import Document, load_all
from deploy.demo.measurements import Measurements
from deploy.demo.operator_steps import Operator
from deploy.demo.reporter import Reporter
from deploy.demo.result_table import RunFigures
from deploy.demo.stack import Stack, StackOptions
from deploy.demo.traffic import DemoTraffic
from deploy.demo.waiter import Waiter

_SIZES = {"users": 200, "resumes": 2000, "jobs": 1800, "results": 1200}


class Harness:
    """One run's parts. `start_history` makes the databases and the clients; `close` stops all."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self.stack = Stack(StackOptions.free(folder=options.folder, settings=options.settings()))
        self.outcome = RunFigures()
        self.reporter = Reporter(console)
        self.waiter = Waiter(self.reporter, self.healthy)
        self.databases = Databases(self.stack, options.password)
        self.measurements = Measurements(self.stack, self.outcome, self.reporter, self.waiter)
        self.operator = Operator(
            options,
            self.stack,
            self.outcome,
            reporter=self.reporter,
            waiter=self.waiter,
            databases=self.databases,
            measurements=self.measurements,
        )
        self.loaded: dict[tuple[str, str], list[Document]] = {}
        self.profiles: dict[str, str] = {}  # the résumé that each user's profile names
        self._options = options
        self._traffic: DemoTraffic | None = None

    @property
    def traffic(self) -> DemoTraffic:
        """The clients, once there is a history."""
        assert self._traffic is not None
        return self._traffic

    def start_history(self) -> None:
        """Start both databases, load what they hold before there is a proxy, and make the clients."""
        options = self._options
        self.stack.start_postgres()
        self.stack.start_arangodb()
        history = fake_data.history(**{name: int(size * options.share) for name, size in _SIZES.items()})
        self.loaded = load_all(
            self.stack.arango_url, history, share=options.share, password=options.password, note=self._loaded_one
        )
        self.profiles = self.databases.load_users(history)
        self._traffic = DemoTraffic(
            self.stack.arango_url,
            [user.id for user in history.users],
            clients=options.clients,
            rate=options.rate,
            password=options.password,
        )
        for database, name in SERVICE:
            self._traffic.own(name, self.loaded[database, name])
        self._traffic.reserve(self.profiles.values())
        self.reporter.good(
            f"{len(history.users)} users in PostgreSQL, {len(self.profiles)} with a profile that names a résumé"
        )

    def healthy(self) -> None:
        """Raise DemoFailed if a server ended, a client broke, a request failed, or an answer was wrong."""
        ended = self.stack.ended()
        if ended is not None:
            raise DemoFailed(f"{ended.name} has ended: {ended.tail()}")
        if self._traffic is None:
            return
        self._traffic.check()
        for client in self._traffic.clients:
            for trouble in (*client.tally.failed, *client.tally.wrong):
                raise DemoFailed(trouble)

    def close(self) -> None:
        """Stop clients and servers."""
        try:
            if self._traffic is not None:
                self._traffic.stop()
        finally:
            self.stack.stop()

    def _loaded_one(self, name: str, count: int) -> None:
        self.reporter.good(f"{name}: {count:,} documents")
