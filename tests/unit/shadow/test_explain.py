"""Explanations come from another process, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from proxy.isolation import Isolation, Lane
from proxy.shadow.explain import Explainer, describe

A, B = b'{"x":1,"y":{"z":"old"},"n":1}', b'{"x":2,"y":{"z":"new"},"n":1.0}'


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    isolation = Isolation(["proxy.shadow.explain"])
    yield isolation.lane("explaining", workers=1, waiting=8, nice=15)
    await isolation.close()


def test_what_differs_in_words() -> None:
    text = describe(A, B, values=True)

    assert text is not None
    assert "root['x'] changed from 1 to 2" in text
    assert "root['n']" not in text


def test_without_values_only_places_are_named() -> None:
    text = describe(A, B, values=False)

    assert text is not None
    assert "root['y']['z']" in text
    assert "old" not in text
    assert "new" not in text


def test_one_number_written_in_two_ways_is_named_by_its_place() -> None:
    found = describe(b'{"rows":[{"n":0.5,"z":-0}]}', b'{"rows":[{"n":0.5,"z":0}]}', values=True)

    assert found == "Value of root['rows'][0]['z'] is the same number written in two ways: -0.0 and 0."


def test_what_is_no_json_is_not_explained() -> None:
    assert describe(b"<html>", B, values=True) is None


async def test_few_wait_for_the_worker(lane: Lane) -> None:
    explainer = Explainer(lane, seconds=60)
    found = await asyncio.gather(*(explainer.explain(A, B) for _ in range(6)))
    assert [text is None for text in found] == [False] * 4 + [True] * 2


async def test_over_a_limit_there_is_none_and_the_next_is_explained_again(lane: Lane) -> None:
    many = [orjson.dumps([{"k": n * m} for n in range(3000)]) for m in (1, 2)]
    explainer = Explainer(lane, seconds=0.01)
    assert await explainer.explain(many[0], many[1]) is None
    assert lane.pids == []

    patient = Explainer(lane, seconds=60)
    assert "changed from 1 to 2" in (await patient.explain(A, B) or "")
    assert await patient.explain(b"x" * (300 << 10), B) is None


async def test_without_a_worker_nothing_is_explained() -> None:
    assert await Explainer(None).explain(A, B) is None
