"""Parts of about equal size, found without reading all keys."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import random
import uuid

import pytest

from backfill.key_sampling import LOCAL, PROBES, Scale, between, find_cut, spread


class Index:
    """Sorted keys, with counters of requests and of index steps."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(set(keys))
        self.requests = 0
        self.steps = 0

    async def step(self, after: str, skip: int) -> str | None:
        at = bisect.bisect_right(self.keys, after) + skip - 1
        self.requests += 1
        self.steps += skip
        return self.keys[at] if at < len(self.keys) else None

    def parts(self, cuts: list[str]) -> list[int]:
        ends = [0, *(bisect.bisect_right(self.keys, cut) for cut in cuts), len(self.keys)]
        return [after - before for before, after in itertools.pairwise(ends)]


def _keys(kind: str, number: int = 60_000) -> list[str]:
    chance = random.Random(7)
    if kind == "uuid":
        return [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(number)]
    if kind == "hash":
        return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(number)]
    if kind == "counter":
        return [str(n) for n in range(1, number)]
    if kind == "large counter":
        return [str(26_000_000 + 3 * n) for n in range(number)]
    if kind == "padded":
        return [f"order-{n:012}" for n in range(number)]
    if kind == "time":
        return [f"{1_600_000_000_000 + n * 977}-{n % 7}" for n in range(number)]
    assert kind == "prefixes"
    sizes = {"user:": 0.9, "order:": 0.06, "Zebra_": 0.03, "x": 0.01}
    return [f"{name}{n}" for name, share in sizes.items() for n in range(int(number * share))]


@pytest.mark.parametrize("kind", ["uuid", "hash", "counter", "large counter", "padded", "time", "prefixes"])
async def test_parts_are_even_for_any_kind_of_key(kind: str) -> None:
    index = Index(_keys(kind))
    cuts = await spread(index.step, len(index.keys), 20)
    sizes = index.parts(cuts)
    assert len(sizes) >= 10, sizes
    assert max(sizes) <= 3 * len(index.keys) / 20, sizes
    # the cost depends on the number of parts only
    assert index.requests <= 7 * PROBES * 20
    assert index.steps <= 4 * PROBES * 20 * (LOCAL + 2)


async def test_small_collections_have_few_parts() -> None:
    assert await spread(Index([]).step, 0, 4) == []
    assert await spread(Index(["a"]).step, 1, 1) == []
    few = Index(["a", "b", "c"])
    assert set(await spread(few.step, 3, 4)) <= {"a", "b", "c"}


def test_between_returns_a_text_in_the_open_range() -> None:
    assert between([], "a", "a") is None
    seen = ["10", "19", "1", "999"]
    middle = between(seen, "1", "9")
    assert middle is not None
    assert "1" < middle < "9"
    assert Scale(seen, "1", None).number("19") < Scale(seen, "1", None).number("9")
    assert between(["user:1"], "user:1", None) is not None


@pytest.mark.parametrize("kind", ["uuid", "counter", "padded", "prefixes"])
async def test_a_remainder_is_cut_with_enough_on_both_sides(kind: str) -> None:
    index = Index(_keys(kind, 20_000))
    after, upper = index.keys[1_000], index.keys[-500]
    cut = await find_cut(index.step, after, upper, 500)
    assert cut is not None
    left, right = index.keys.index(cut) - 1_000, len(index.keys) - 500 - index.keys.index(cut)
    assert min(left, right) >= 500
    assert index.steps <= 64 * 500 + 10_000


async def test_a_small_remainder_is_not_cut() -> None:
    index = Index([f"{n:04}" for n in range(1_000)])
    assert await find_cut(index.step, "0000", None, 600) is None
    assert await find_cut(index.step, "0900", "0950", 60) is None
    assert await find_cut(index.step, "0000", "0999", 400) is not None
