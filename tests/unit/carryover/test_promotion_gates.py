"""What the gates of a promotion are told about accounts: pure."""

from __future__ import annotations

from proxy.carryover.promotion_gates import enforcement_differences


def test_who_requires_credentials_and_who_does_not() -> None:
    known = {"this command": True, "one": False, "two": None}
    assert enforcement_differences(known, required=False) == (
        "ArangoDB does not require credentials, this command does",
    )
    assert enforcement_differences(known, required=True) == ("ArangoDB requires credentials, one does not",)
