"""What must hold whatever a client sends, one function per property.

The tests run them briefly, `make fuzz` for long.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

from tests.fuzz.bytes import Whole, framed, splits
from tests.fuzz.servers import MARKS, FuzzServers, answers, mark, talk


def whole_requests(servers: FuzzServers, port: int, requests: list[Whole], chunk: int) -> None:
    """Check that each correctly framed request gets one answer, or an error in ArangoDB's shape.

    They are pipelined between two requests whose answers are known.
    """
    bare = any(request[0] == "HEAD" for request in requests)
    data = mark(1) + b"".join(framed(request, chunk=chunk) for request in requests) + mark(2)
    found = answers(talk(port, data), bare=bare)
    assert _marked(found[0].body) == "<<1>>"
    assert len(found) == len(requests) + 2, f"{len(found)} answers to {len(requests) + 2} requests"
    assert _marked(found[-1].body) == "<<2>>"
    servers.check()


def hostile_bytes(servers: FuzzServers, port: int, data: bytes, cuts: list[int], number: int) -> None:
    """Check that arbitrary bytes after a good request end in an error or a clean close, after its answer.

    Meanwhile a neighbour sends requests on another connection and gets its own answers.
    """
    with _neighbour(port, (number + 1) % MARKS):
        said = talk(port, mark(number), *splits(data, cuts))
    found = answers(said, bare=b"HEAD" in data)
    assert _marked(found[0].body) == f"<<{number}>>"
    others = {f"<<{other}>>" for other in range(MARKS)} - {f"<<{number}>>"}
    assert b"marks" in data or not any(other.encode() in said for other in others), "an answer of a neighbour's"
    servers.check()


def http2_frames(servers: FuzzServers, port: int, data: bytes, cuts: list[int]) -> None:
    """Check that arbitrary frames end their connection, and that a neighbour gets its own answers."""
    with _neighbour(port, 5):
        said = talk(port, *splits(data, cuts))
    assert b"internal error" not in said
    assert b"<<5>>" not in said
    servers.check()


@contextlib.contextmanager
def _neighbour(port: int, number: int) -> Iterator[None]:
    """Send requests concurrently on another connection."""
    got: list[str] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            got.extend(_marked(answer.body) for answer in answers(talk(port, mark(number))))
        except (AssertionError, OSError, ValueError, LookupError) as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert (got, failed) == ([f"<<{number}>>"], [])


def _marked(body: bytes) -> str:
    found = json.loads(body)
    assert "mark" in found, f"no document of ours: {body!r}"
    return str(found["mark"])
