"""Many clients insert equal unique values through two proxies: `python -m tests.faults.alone.races`.

Of each value exactly one insert may succeed, and every other one must get error 1210. Exit code 1 if that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests import harness
from tests.faults.alone.clients import TIMEOUT, UNIQUE, prepare
from tests.faults.alone.judgement import judge, read
from tests.faults.alone.memory import Claim, Memory, Place
from tests.faults.alone.stack import AloneStack, alone_stack


@dataclass
class Result:
    """The result of a race. won: the clients that inserted each value. wrong: as sentences."""

    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    won: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return a report."""
        answers = ", ".join(f"{answer}: {count}" for answer, count in sorted(self.answers.items()))
        winners = Counter(clients[0] for clients in self.won.values() if clients)
        shares = " ".join(str(count) for _, count in sorted(winners.items()))
        lines = [f"{self.seconds:.0f} s; {answers}; won by client: {shares}; {len(self.wrong)} wrong"]
        return "\n".join([*lines, *(f"  ! {one}" for one in self.wrong[:40])])


async def race(stack: AloneStack, clients: int, values: int) -> Result:
    """Let clients insert the same values, half of them through each proxy, and judge."""
    await prepare(stack.urls[0])
    result, memory, started = Result(won={f"v{number}": [] for number in range(values)}), Memory(), time.monotonic()

    start = asyncio.Barrier(clients)

    async def insert_all(client: int) -> None:
        url = stack.urls[client % len(stack.urls)]
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http:
            for value, winners in result.won.items():
                place = Place(UNIQUE, f"{value}-{client}")
                await start.wait()  # all insert a value together
                answer = await http.post(f"/_api/document/{UNIQUE}", json={"_key": place.key, "unique": value})
                number = answer.json().get("errorNum", 0)
                result.answers[f"{answer.status_code} {number}" if number else str(answer.status_code)] += 1
                memory.claims.append(Claim(value, place, answer.status_code < 400))
                if answer.status_code < 400:
                    winners.append(client)
                elif (answer.status_code, number) != (409, 1210):
                    result.wrong.append(f"client {client}, {value}: {answer.status_code} {answer.text[:200]}")

    await asyncio.gather(*(insert_all(client) for client in range(clients)))
    result.seconds = time.monotonic() - started
    stored = await read(stack.dsn)
    result.wrong += [f"{value} was inserted by {won}" for value, won in result.won.items() if len(won) != 1]
    result.wrong += judge(memory, stored)
    if (found := stored.counts[UNIQUE][1]) != values:
        result.wrong.append(f"{found} documents of {values} values")
    return result


async def run(folder: Path, clients: int, values: int) -> Result:
    """Start everything, and race."""
    async with alone_stack(folder) as stack:
        return await race(stack, clients, values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m tests.faults.alone.races --clients 8 --values 1000`."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.alone.races", description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--values", type=int, default=1000)
    options = parser.parse_args(arguments)
    harness.WAIT_SECONDS = 120.0
    with tempfile.TemporaryDirectory(prefix="crossfade-races-") as folder:
        found = asyncio.run(run(Path(folder), options.clients, options.values))
    print(found.text())
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
