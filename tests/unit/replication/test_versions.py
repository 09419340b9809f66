"""The order of versions: the join of I4 on (revision, removed)."""

from __future__ import annotations

import pytest

from proxy.replication.versions import KeyRevision, StampedVersion, Stored, is_superseded, newest


@pytest.mark.parametrize(
    ("stored", "document", "removal"),
    [
        (None, False, False),
        (Stored(4, alive=True), False, False),
        (Stored(5, alive=True), True, False),
        (Stored(5, alive=False), True, True),
        (Stored(6, alive=True), True, True),
    ],
)
def test_what_postgresql_has_supersedes_what_is_not_greater(
    stored: Stored | None, *, document: bool, removal: bool
) -> None:
    assert is_superseded(StampedVersion("k", 5, b"{}", 0), stored) is document
    assert is_superseded(KeyRevision("k", 5), stored) is document
    assert is_superseded(StampedVersion("k", 5, None, 0), stored) is removal


def test_of_equal_revisions_the_removal_is_the_newest() -> None:
    rows = [
        StampedVersion("k", 5, None, 0),
        StampedVersion("k", 5, b"{}", 0),
        StampedVersion("l", 1, b"{}", 0),
        StampedVersion("l", 2, b"{}", 0),
    ]
    assert newest(rows) == [rows[0], rows[3]]
