"""A short form of `make faults`, and the chaos proxy's effect on connections."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from proxy.base.failpoints import POINTS
from proxy.model.stages import Stage
from tests.faults.cells import CLOCKS, PLACES, READ_ONLY, REFUSE, REFUSED, Cell, Place, table
from tests.faults.chaos import Chaos
from tests.faults.matrix_runner import matrix

SHORT = (
    (Place("documents", "after-forward", 9), "origin cut"),
    (Place("documents", "before-complete", 9), "disk full"),
    (Place("documents", "mid-batch"), "target stopped"),
    (Place("transactions", "after-commit"), "target half-close"),
    (Place("transactions", "mid-transaction", 1), "kill"),
    (Place("documents", "after-forward", 9), "kill, files removed"),
    (Place("documents", "after-apply"), READ_ONLY),
    (Place("graphs", "mid-cascade", 1), "kill"),
    (Place("modifications", "keys-read"), "origin cut"),
)


FLIPPED = (
    (Place("documents", "after-apply"), REFUSED),
    (Place("imports", "after-forward", 3), "clock back, kill"),
    (Place("refused", "after-forward", 3), "target delay"),
)


@pytest.mark.long
async def test_a_sample_of_the_fault_matrix_loses_no_write(tmp_path: Path) -> None:
    """I2, I3: zero lost, zero ghosts, client errors only where ArangoDB itself was away."""
    async with matrix(tmp_path) as environment:
        cells = [await environment.cell(place, fault) for place, fault in SHORT]
    assert [cell for cell in cells if not cell.good] == [], table(cells)
    assert all(cell.writes for cell in cells)
    full = cells[1]
    assert full.marks, "a write that could not be journaled leaves a mark"


@pytest.mark.long
async def test_a_sample_of_the_fault_matrix_shows_no_stale_read_while_flipped(tmp_path: Path) -> None:
    """I7: whatever the fault, no read shows an older version than any client has seen before."""
    async with matrix(tmp_path, Stage.FLIPPED) as environment:
        cells = [await environment.cell(place, fault) for place, fault in FLIPPED]
    assert [cell for cell in cells if not cell.good] == [], table(cells)
    assert all(cell.reads for cell in cells)
    assert cells[0].letters, "documents that PostgreSQL refused are dead letters"
    assert not cells[2].marks, "what ArangoDB refuses wrote nothing"


def test_every_failpoint_of_the_code_is_in_the_matrix() -> None:
    assert {place.point for place in PLACES} == set(POINTS)
    assert len({place.name for place in PLACES}) == len(PLACES)


def test_a_cell_fails_if_a_postgresql_fault_costs_a_client_an_error() -> None:
    def cell(fault: str, lost: int = 0, errors: int = 0, broken: int = 0) -> Cell:
        return Cell(SHORT[0][0], fault, runs=1, writes=10, lost=lost, errors=errors, broken=broken)

    assert cell("origin stopped", errors=3).good
    assert cell("kill", broken=3).good
    assert all(cell(fault, broken=3).good and not cell(fault, errors=1).good for fault in CLOCKS)
    assert not cell("target stopped", errors=1).good
    assert not cell("disk full", broken=1).good
    assert not cell("disk full", errors=1).good
    assert cell(REFUSE, errors=1).good, "the operator configured it"
    assert not cell("origin cut", lost=1).good
    assert "WRONG" in table([cell("target cut", errors=1)])


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1000):
            writer.write(data)
    except ConnectionResetError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("mode", ["pass", "delay", "slow", "cut", "half-close", "black-hole"])
async def test_each_chaos_mode_has_its_effect(mode: str) -> None:
    sent = b"x" * 600
    async with contextlib.AsyncExitStack() as stack:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        stack.callback(server.close)
        chaos = await stack.enter_async_context(Chaos(server.sockets[0].getsockname()[1]))
        if mode != "pass":
            chaos.misbehave(mode)
        reader, writer = await asyncio.open_connection("127.0.0.1", chaos.port)
        stack.callback(writer.close)
        writer.write(sent)
        if mode in ("pass", "delay", "slow"):
            assert await reader.readexactly(600) == sent
        elif mode == "cut":
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(600)
        elif mode == "half-close":
            assert await reader.read() == sent[:300]
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read(1)
            chaos.heal()
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
    while len(asyncio.all_tasks()) > 1:  # the echo's own connections
        await asyncio.sleep(0.01)


async def test_connections_to_an_unreachable_server_are_reset() -> None:
    async with Chaos(1) as chaos:
        reader, writer = await asyncio.open_connection("127.0.0.1", chaos.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(1) == b""
        writer.close()
