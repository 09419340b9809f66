"""`make fuzz MINUTES=…`: runs the properties of tests/fuzz for the given time, with new examples each time.

Prints what it tries and how often. Exits with code 1 at the first violation, with the smallest example that shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from deploy.demo.postgres import EmbeddedPostgres
from tests.conftest import _create, migrated_template
from tests.fuzz import check
from tests.fuzz.bytes import frames, hostile
from tests.fuzz.requests import requests
from tests.fuzz.servers import FuzzServers, run_servers

_EXAMPLES = 300  # of one property against one server, before the next has its turn
_TURNS = 3  # before both servers are restarted: their state grows with the requests
_cuts = st.lists(st.integers(0, 1 << 16), max_size=3)


def properties(servers: FuzzServers, port: int, number: int) -> dict[str, Callable[[], None]]:
    """Return each property by name, as a function that runs it with its own examples."""
    often = settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))

    @seed(number)
    @often
    @given(st.lists(requests(), min_size=1, max_size=4), st.sampled_from([0, 0, 5]))
    def whole(sent: list[tuple[str, bytes, list[tuple[bytes, bytes]], bytes]], chunk: int) -> None:
        check.whole_requests(servers, port, sent, chunk)

    @seed(number)
    @often
    @given(hostile, _cuts, st.integers(0, 7))
    def broken(data: bytes, cuts: list[int], of: int) -> None:
        check.hostile_bytes(servers, port, data, cuts, of)

    @seed(number)
    @often
    @given(frames(), _cuts)
    def http2(data: bytes, cuts: list[int]) -> None:
        check.http2_frames(servers, port, data, cuts)

    return {"whole requests": whole, "hostile bytes": broken, "HTTP/2": http2}


def run(minutes: float, start: int, *, flipped: bool = False) -> None:
    """Run until the time is over. flipped: begin with flipped collections. Raise AssertionError on a violation."""
    until = time.monotonic() + 60 * minutes
    numbers = itertools.count(start)
    done: dict[str, int] = {}
    with EmbeddedPostgres(options={"fsync": "off"}) as server:
        asyncio.run(migrated_template(server.dsn))
        while time.monotonic() < until:
            with tempfile.TemporaryDirectory() as folder:
                dsn = asyncio.run(_create(server, "migrated"))
                with run_servers(dsn, Path(folder), flipped=flipped) as servers:
                    for _ in range(_TURNS):
                        for server_name, port in servers.ports.items():
                            name = f"{server_name}, flipped" if flipped and server_name == "proxy" else server_name
                            number = next(numbers)
                            for what, property_ in properties(servers, port, number).items():
                                if time.monotonic() < until:
                                    property_()
                                    done[f"{name}: {what}"] = done.get(f"{name}: {what}", 0) + _EXAMPLES
                                    print(f"{time.strftime('%H:%M:%S')} seed {number} {name}: {what}", flush=True)
            flipped = not flipped
    for name, count in sorted(done.items()):
        print(f"{name}: {count} examples, nothing found")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--flipped", action="store_true", help="begin with reads from PostgreSQL, not with the shadow")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    run(options.minutes, options.seed, flipped=options.flipped)
