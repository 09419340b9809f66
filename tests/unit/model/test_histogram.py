"""Histograms of latency: quantiles within a few percent, also of histograms that were added up."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from proxy.model import histogram
from proxy.model.histogram import BOUNDS, quantile


def _histogram(samples: list[float]) -> list[int]:
    found: list[int] = []
    for seconds in samples:
        histogram.count(found, seconds)
    return found


def test_no_sample_has_no_quantile() -> None:
    assert quantile([], 0.99) is None
    assert quantile([0, 0], 0.5) is None


def test_quantiles_are_near_the_true_ones() -> None:
    chance = random.Random(1)
    samples = sorted(chance.lognormvariate(-6, 1) for _ in range(20_000))
    for share in (0.5, 0.9, 0.99):
        found = quantile(_histogram(samples), share)
        assert found is not None
        assert abs(found / samples[int(share * len(samples))] - 1) < 0.05


def test_the_ends() -> None:
    assert len(_histogram([1e9])) == len(BOUNDS) + 1
    assert quantile(_histogram([1e9]), 0.99) == BOUNDS[-1]
    found = quantile(_histogram([0.0]), 1.0)
    assert found == BOUNDS[0]


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_a_sample(samples: list[float], share: float) -> None:
    found = quantile(_histogram(samples), share)
    assert found is not None
    places = {histogram.place_of(seconds) for seconds in samples}
    # a bucket includes its upper bound, at which its last sample is assumed to be
    assert places & {histogram.place_of(found), histogram.place_of(found * 0.999), histogram.place_of(found * 1.001)}
