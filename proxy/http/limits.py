"""The limits of a client of one listener: sizes in bytes, times in seconds. The defaults are ArangoDB's own."""

from __future__ import annotations

from dataclasses import dataclass

READ = 256 << 10  # bytes that one read of a socket brings at most
HIGH_WATER = 256 << 10  # bytes that wait to be consumed: above this the socket is no longer read
LOW_WATER = 64 << 10  # below this it is read again


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of one listener.

    head: request line and headers together, else 431. url: else 414. body: else 413. headers: their number, else 431.
    buffer_body: a body up to this is handed over whole, a larger one as a stream. whole_paths: the bodies of requests
    whose target does not begin so are streams, unless they came whole with the first read of HTTP/1.1.
    connections: clients at a time; one more is answered 503 and closed. pipeline: requests read ahead on a connection.
    streams: requests at a time on an HTTP/2 connection; held: bytes of their bodies that are put together at a time.
    idle: between requests. head_time: from the first byte of a head to its last. stall: without a byte of a body that
    is due, or without a byte taken of an answer. linger: for the client to read a last answer before the socket goes.
    """

    head: int = 1 << 20
    url: int = 16 << 10
    headers: int = 2000
    body: int = 1 << 30
    buffer_body: int = 4 << 20
    whole_paths: bytes = b"/"
    connections: int = 4096
    pipeline: int = 16
    streams: int = 128
    held: int = 16 << 20
    idle: float = 300.0
    head_time: float = 30.0
    stall: float = 60.0
    linger: float = 2.0

    def streams_at_once(self, target: bytes) -> bool:
        """Return True if the body of a request with this target is handed over as it comes."""
        return not target.startswith(self.whole_paths)

    @property
    def tick(self) -> float:
        """Seconds between two checks of the time limits of all connections."""
        return min(1.0, max(0.01, min(self.idle, self.head_time, self.stall, self.linger) / 4))
