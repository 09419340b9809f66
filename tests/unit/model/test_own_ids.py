"""Ids of cursors and jobs that a proxy makes itself."""

from __future__ import annotations

import pytest

from proxy.model.own_ids import JOBS, READ_CURSORS, WRITE_CURSORS, OwnIds

KINDS = (READ_CURSORS, WRITE_CURSORS, JOBS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_of_its_kind_alone_and_within_64_bits(kind: OwnIds) -> None:
    identifiers = {kind.make() for _ in range(100)}
    assert len(identifiers) == 100
    for identifier in identifiers:
        assert [one for one in KINDS if one.owns(identifier)] == [kind]
        assert 1 << 62 < int(identifier) < 1 << 63


@pytest.mark.parametrize("identifier", ["", "9000", "123456", "9000" + "1" * 14, "9000" + "1" * 16, "9000" + "x" * 15])
def test_ids_of_arangodb_are_not_owned(identifier: str) -> None:
    assert not any(kind.owns(identifier) for kind in KINDS)
