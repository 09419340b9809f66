"""Spools: bytes on disk, read by position; their room."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from proxy.base.errors import ArangoError
from proxy.base.spool import PIECE, SpoolSpace


async def test_what_was_appended_is_read_by_position_and_in_pieces() -> None:
    """Positions before, across and after what is on disk."""
    space, rng = SpoolSpace(), random.Random(3)
    spool, whole = space.new(), b""
    for size in (1, PIECE - 10, 5, 30, PIECE // 2, 3 * PIECE, 7):
        data = rng.randbytes(size)
        spool.append(data)
        whole += data
    assert spool.size == len(whole)
    for _ in range(50):
        begin = rng.randrange(len(whole))
        end = rng.randrange(begin, len(whole))
        assert spool.read(begin, end) == whole[begin:end]
    pieces = [piece async for piece in spool.pieces(5, len(whole) - 3)]
    assert b"".join(pieces) == whole[5:-3]
    assert max(map(len, pieces)) <= PIECE


def test_a_small_spool_needs_no_file(tmp_path: Path) -> None:
    spool = SpoolSpace(tmp_path / "absent").new()
    spool.append(b"x" * (PIECE - 1))
    assert spool.read(0, 2) == b"xx"


def test_the_room_is_bounded_and_given_back(tmp_path: Path) -> None:
    space = SpoolSpace(tmp_path, limit=3 * PIECE)
    first = space.new()
    first.append(b"x" * (2 * PIECE))
    second = space.new()
    with pytest.raises(ArangoError, match="resource limit exceeded") as refused:
        second.append(b"y" * (2 * PIECE))
    assert refused.value.number == 32
    del first
    assert space.left == 3 * PIECE
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_a_resource_limit(tmp_path: Path) -> None:
    spool = SpoolSpace(tmp_path / "absent").new()
    with pytest.raises(ArangoError, match="resource limit exceeded"):
        spool.append(b"x" * PIECE)
