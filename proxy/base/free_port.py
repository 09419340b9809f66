"""Free ports on loopback, for servers that are started beside each other and restarted on their port.

A port that the system assigns (`bind` to port 0) is free only for a moment: until the server binds it, or while it
restarts, another process's server or outgoing connection may take it, and clients then talk to the wrong server.
Therefore ports are taken from below the range for outgoing connections, and reserved by a lock on one byte of a file
that all processes of this user share: byte N stands for port N.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
from pathlib import Path

_FIRST = 10_000  # below it, well-known services and databases have their usual ports
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OUTGOING_FIRST = 32_768  # Linux's default; elsewhere the range begins above it

_KEPT = 1000  # reservations of one process; a long test run must not use up all ports

_reserved: dict[int, None] = {}  # of this process, the oldest first: its own locks do not exclude each other


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, reserved until this process ends or has reserved 1,000 others.

    Raise OSError if every port is taken or the lock file cannot be written.
    """
    end = _first_outgoing()
    start = random.SystemRandom().randrange(_FIRST, end)  # a seeded generator would begin alike in every process
    for port in itertools.chain(range(start, end), range(_FIRST, start)):
        if port not in _reserved and _reserve(port):
            _reserved[port] = None
            if len(_reserved) > _KEPT:
                _release(next(iter(_reserved)))
            if _bindable(port):
                return port
    raise OSError(f"no TCP port from {_FIRST} to {_first_outgoing() - 1} is free on 127.0.0.1")


def _reserve(port: int) -> bool:
    """Lock the port's byte. The lock is the process's: it ends with it, and a forked child does not hold it."""
    try:
        fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # what systems report for a byte that another process has locked
        return False
    return True


def _release(port: int) -> None:
    del _reserved[port]
    fcntl.lockf(_lock_file(), fcntl.LOCK_UN, 1, port)


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@functools.cache
def _lock_file() -> int:
    """Open the file of locks, once and for good: closing any descriptor of it would release the process's locks."""
    path = Path(tempfile.gettempdir()) / f"crossfade-ports-{os.getuid()}.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


@functools.cache
def _first_outgoing() -> int:
    try:
        first = int(_OUTGOING.read_text().split()[0])
    except OSError:
        return _OUTGOING_FIRST
    return first if first > _FIRST + 1000 else _OUTGOING_FIRST
