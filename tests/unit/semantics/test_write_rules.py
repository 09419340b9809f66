"""What a write makes of one document, without a store."""

from __future__ import annotations

import json

import pytest

from proxy.base.errors import ArangoError
from proxy.model.documents import Merging
from proxy.model.revision import encode_rev
from proxy.semantics.write_rules import (
    CollectionRules,
    ConflictError,
    Event,
    Mode,
    WriteRules,
    check_revision,
    new_version,
    overwritten,
    replaced,
    updated,
)

REV = encode_rev(1 << 40)
STORED = json.dumps({"_key": "k", "_id": "c/k", "_rev": REV, "n": 1, "v": 7}, separators=(",", ":")).encode()
DOCUMENTS = CollectionRules("c", edge=False, schema=None)


def test_a_put_replaces_and_a_patch_merges() -> None:
    assert replaced(STORED, {"n": 2}, WriteRules()) == {"n": 2}
    merged = updated(STORED, {"n": 2}, WriteRules(), edge=False)
    assert merged is not None
    assert (merged["n"], merged["v"]) == (2, 7)
    assert updated(STORED, {}, WriteRules(), edge=False) is None
    without = updated(STORED, {"v": None}, WriteRules(merging=Merging(keep_null=False)), edge=False)
    assert without is not None
    assert "v" not in without


@pytest.mark.parametrize(("version", "written"), [(6, False), (7, False), (8, True), ("x", True)])
def test_a_version_that_is_not_above_the_stored_one_changes_nothing(version: object, written: bool) -> None:
    rules = WriteRules(version_attribute="v")
    assert (replaced(STORED, {"v": version}, rules) is not None) == written
    assert (updated(STORED, {"v": version}, rules, edge=False) is not None) == written


def test_an_insert_of_a_key_that_exists_does_what_the_mode_says() -> None:
    with pytest.raises(ArangoError) as caught:
        overwritten("k", STORED, {}, WriteRules(), edge=False)
    assert caught.value.number == 1210
    assert overwritten("k", STORED, {"n": 2}, WriteRules(mode=Mode.IGNORE), edge=False) is None
    assert overwritten("k", STORED, {"n": 2}, WriteRules(mode=Mode.REPLACE), edge=False) == {"n": 2}
    merged = overwritten("k", STORED, {"n": 2}, WriteRules(mode=Mode.UPDATE), edge=False)
    assert merged is not None
    assert merged["v"] == 7


@pytest.mark.parametrize(
    ("rules", "body", "status"),
    [
        (WriteRules(expected="_other"), {}, 412),
        (WriteRules(body_revision=True), {"_rev": "_other"}, 412),
        (WriteRules(), {"_rev": "_other"}, None),
        (WriteRules(expected=REV), {}, None),
        (WriteRules(expected=REV, body_revision=True), {"_rev": "_other"}, None),
    ],
)
def test_the_header_expects_a_revision_or_else_the_body(
    rules: WriteRules, body: dict[str, object], status: int | None
) -> None:
    if status is None:
        check_revision("k", STORED, body, rules)
        return
    with pytest.raises(ConflictError) as caught:
        check_revision("k", STORED, body, rules)
    assert (caught.value.status, caught.value.rev) == (status, REV)


def test_a_new_version_has_the_servers_revision_unless_it_is_restored() -> None:
    new = new_version(DOCUMENTS, "k", 5, {"_rev": REV, "n": 1}, None, WriteRules(), Event.INSERT)
    assert (new.rev, new.document) == (encode_rev(5), {"_key": "k", "_id": "c/k", "_rev": encode_rev(5), "n": 1})
    assert json.loads(new.raw) == new.document
    assert (
        new_version(DOCUMENTS, "k", 5, {"_rev": REV, "n": 1}, None, WriteRules(restore=True), Event.INSERT).rev == REV
    )


def test_a_schema_is_checked_unless_the_request_skips_it() -> None:
    rule = {"rule": {"properties": {"n": {"type": "number"}}}, "level": "strict", "message": "no"}
    checked = CollectionRules("c", edge=False, schema=rule)
    with pytest.raises(ArangoError) as caught:
        new_version(checked, "k", 5, {"n": "text"}, None, WriteRules(), Event.INSERT)
    assert caught.value.number == 1620
    assert (
        new_version(checked, "k", 5, {"n": "text"}, None, WriteRules(skip_validation=True), Event.INSERT).document["n"]
        == "text"
    )
