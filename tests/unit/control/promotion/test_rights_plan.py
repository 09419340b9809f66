"""What a user had, of what ArangoDB lists, and what is given back."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.promotion.rights_plan import OriginRight, restored, right_of, takes_rights

LISTED: dict[str, Any] = {
    "shop": {"permission": "rw", "collections": {"a": "rw", "b": "undefined", "*": "ro"}},
    "other": {"permission": "undefined", "collections": {}},
    "*": {"permission": "none"},
}


@pytest.mark.parametrize(
    ("collection", "granted", "followed"),
    [
        ("shop/a", "rw", {"database": "rw", "all collections": "ro", "all databases": "none"}),
        ("shop/b", None, {"database": "rw", "all collections": "ro", "all databases": "none"}),
        ("shop/new", None, {"database": "rw", "all collections": "ro", "all databases": "none"}),
        ("other/c", None, {"all databases": "none"}),
        ("unlisted/c", None, {"all databases": "none"}),
    ],
)
def test_what_is_noted(collection: str, granted: str | None, followed: dict[str, str]) -> None:
    assert right_of(collection, "ann", LISTED) == OriginRight(collection, "ann", granted, followed)


@pytest.mark.parametrize(
    ("granted", "now", "again"),
    [
        ("rw", "ro", True),
        (None, "ro", True),
        (None, None, False),  # given back already
        ("rw", "rw", False),
        ("rw", "none", False),  # by an administrator meanwhile
    ],
)
def test_what_is_given_back(granted: str | None, now: str | None, again: bool) -> None:
    assert restored(OriginRight("shop/a", "ann", granted, {}), now) is again


def test_system_collections_have_no_levels_of_their_own() -> None:
    assert takes_rights("shop/a")
    assert not takes_rights("_system/_graphs")
