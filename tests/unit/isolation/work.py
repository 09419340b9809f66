"""Functions that the tests run in workers."""

from __future__ import annotations

import asyncio
import os
import re
import time

from proxy.base.errors import ArangoError, StatementError, Unsupported


def where() -> int:
    return os.getpid()


async def awaited(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


def length(text: bytes) -> int:
    return len(text)


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def backtrack() -> bool:
    """Run for longer than any time limit."""
    return re.search("^pub-.(a+)+$", "pub-x" + "a" * 60 + "!") is not None


def devour(size: int) -> int:
    return len(bytearray(size))


def leave() -> None:
    os._exit(3)


def fail(how: str) -> None:
    match how:
        case "arango":
            raise ArangoError(1500, "killed", status=410)
        case "unsupported":
            raise Unsupported("a feature")
        case "refused":
            raise StatementError("no", "22P05")
        case "odd":
            raise OddError("a", "b")
        case _:
            raise LookupError(how)


class OddError(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)
