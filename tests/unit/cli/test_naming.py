"""Names that come near to a misspelt one."""

from __future__ import annotations

import pytest

from proxy.cli.naming import near_matches

KNOWN = ["shop/orders", "shop/customers", "crm/contacts", "Crm/Invoices"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop/ordres", ["shop/orders"]),
        ("_system/orders", ["shop/orders"]),  # the right name in another database
        ("shpo/orders", ["shop/orders"]),
        ("shpo/ordres", ["shop/orders"]),
        ("crm/invoices", ["Crm/Invoices"]),
        ("shop/payments", []),  # the same database does not make two names alike
        ("shop/x", []),
    ],
)
def test_near_matches_are_alike_in_their_own_names(name: str, expected: list[str]) -> None:
    assert near_matches(name, KNOWN) == expected


def test_databases_are_compared_as_they_are() -> None:
    assert near_matches("shpo", ["shop", "crm"]) == ["shop"]
