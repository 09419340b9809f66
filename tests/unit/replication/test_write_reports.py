"""What is reported of writes."""

from __future__ import annotations

from proxy.replication.write_reports import _parts, _Taken


def test_a_key_that_postgresql_cannot_hold_does_not_excuse_a_write_to_another() -> None:
    taken = _Taken()
    taken.keys["o\0ne"] = None
    [(names, _, keys, _)] = list(_parts({"shop/orders": taken}))
    assert (list(names), list(keys)) == (["shop/orders"], ['["o\ufffdne"]'])
