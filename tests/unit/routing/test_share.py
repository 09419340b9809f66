"""The percentage of reads that a weight sends to PostgreSQL."""

from __future__ import annotations

from proxy.routing.share import in_percentage


def test_the_share_is_sticky_and_grows_with_the_weight() -> None:
    keys = [f"key{n}".encode() for n in range(2000)]
    tenth = {key for key in keys if in_percentage(key, 10)}
    half = {key for key in keys if in_percentage(key, 50)}
    assert tenth < half
    assert 100 < len(tenth) < 300
    assert all(in_percentage(key, 100) for key in keys)
    assert not any(in_percentage(key, 0) for key in keys)
