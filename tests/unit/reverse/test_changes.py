"""Which requests carry changes of collections, and what ArangoDB's answers mean."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.reverse import changes
from proxy.reverse.announcements import Announcements
from proxy.reverse.changes import ChangeRequest, definition_request
from sql.statements.outbox import ChangeRow


def _change(kind: str, **body: Any) -> ChangeRow:
    return ChangeRow(7, "shop/now", kind, orjson.dumps(body).decode())


def test_requests_use_the_names_of_their_time() -> None:
    assert changes.request_of(_change("drop", name="c")) == ChangeRequest(
        "DELETE", "shop", ("collection", "c"), {}, b""
    )
    renaming = changes.request_of(_change("rename", name="c", new_name="d"))
    assert renaming == ChangeRequest("PUT", "shop", ("collection", "c", "rename"), {}, b'{"name":"d"}')
    made = changes.request_of(
        _change("create", name="_e", edge=True, properties={"keyOptions": {"type": "uuid"}, "schema": {"rule": {}}})
    )
    assert orjson.loads(made.body) == {"name": "_e", "type": 3, "keyOptions": {"type": "uuid"}, "isSystem": True}


@pytest.mark.parametrize(
    ("kind", "number", "done", "again"),
    [
        ("create", 1207, True, False),
        ("create", 1203, False, False),
        ("drop", 1203, True, False),
        ("drop", 11, False, False),
        ("rename", 1203, True, False),
        ("rename", 1207, False, True),
    ],
)
def test_what_an_error_means(kind: str, number: int, done: bool, again: bool) -> None:
    change, error = _change(kind, name="c"), ArangoError(number)
    assert changes.is_done(change, error) is done
    assert changes.is_tried_again(change, error) is again


_INDEXES = st.dictionaries(st.sampled_from("xyz"), st.tuples(st.sampled_from("abc"), st.booleans()), max_size=3).map(
    lambda found: [_index(name, field, unique) for name, (field, unique) in found.items()]
)


def _index(name: str, field: str, unique: bool) -> dict[str, Any]:
    return {"id": f"c/{name}", "name": name, "type": "persistent", "fields": [field], "unique": unique, "sparse": False}


def _primary() -> dict[str, Any]:
    return {"id": "c/0", "name": "primary", "type": "primary", "fields": ["_key"], "unique": True, "sparse": False}


@given(_INDEXES, _INDEXES, st.sampled_from([None, {"rule": {}}]), st.sampled_from([None, {"rule": {}}]))
def test_one_request_after_another_makes_the_definitions_equal(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], our_schema: object, their_schema: object
) -> None:
    wanted = {"indexes": [_primary(), *ours], "schema": our_schema, "waitForSync": False, "computedValues": None}
    indexes = [_primary(), *theirs]
    properties = {"schema": their_schema, "waitForSync": False, "computedValues": []}
    gone = [index["name"] for index in theirs if index["name"] not in {one["name"] for one in ours}]
    for _ in range(12):
        request = definition_request("s/c", wanted, gone, properties, indexes)
        if request is None:
            break
        if request.method == "DELETE":
            indexes = [index for index in indexes if index["id"] != f"c/{request.path[2]}"]
        elif request.method == "PUT":
            properties |= orjson.loads(request.body)
        else:
            made = orjson.loads(request.body)
            assert "id" not in made
            indexes.append({**made, "id": f"c/{made['name']}"})
    else:
        pytest.fail("there is always another request")
    assert properties["schema"] == our_schema
    kept = {index["name"]: (index["fields"], index["unique"]) for index in indexes[1:]}
    for index in ours:
        assert (index["fields"], index["unique"]) in kept.values()
    assert not set(gone) & kept.keys()


def test_an_index_that_only_arangodb_has_stays() -> None:
    wanted = {"indexes": [_primary()]}
    assert definition_request("s/c", wanted, [], {}, [_primary(), _index("own", "a", unique=False)]) is None


async def test_an_announcement_counts_from_when_it_was_found() -> None:
    class Rows:
        waiting = True

        async def fetchval(self, *_: object) -> bool:
            return self.waiting

    now, rows = [100.0], Rows()
    announcements = Announcements(rows, 10.0, clock=lambda: now[0])  # type: ignore[arg-type]
    assert not await announcements.may_pass(5)
    now[0] = 109
    assert not await announcements.may_pass(5)
    now[0] = 111
    assert await announcements.may_pass(5)
    deadline = announcements.deadline()
    assert announcements.may_be_sent(5, deadline)
    assert not await announcements.may_pass(5)  # sent again: it counts anew
    announcements.ended(5)
    assert await announcements.may_pass(5)
    now[0] = deadline + 1
    assert not announcements.may_be_sent(6, deadline)
    assert await announcements.may_pass(6)  # it was not sent
    rows.waiting = False
    assert await announcements.may_pass(8)
