"""Errors of ArangoDB's after requests that may have been committed in parts."""

from __future__ import annotations

import json

import pytest

from proxy.capture.aql_plan import Modification, plan
from proxy.capture.refusals import in_parts, script_in_parts, wrote_nothing
from proxy.model.endpoint import Refusal
from proxy.model.operations import Operation
from proxy.wire.decode import decode_parts
from proxy.wire.endpoints import named


def body_of(query: str, **options: object) -> bytes:
    return json.dumps({"query": query, "options": options}).encode()


@pytest.mark.parametrize("name", ["intermediateCommitCount", "intermediateCommitSize"])
def test_a_query_without_a_loop_fails_whole_unless_its_request_says_otherwise(name: str) -> None:
    alone, given = plan(body_of("INSERT {} INTO c"), "db"), plan(body_of("INSERT {} INTO c", **{name: 1}), "db")
    assert isinstance(alone, Modification)
    assert (alone.once, alone.asked.commits) == (True, False)
    assert isinstance(given, Modification)
    assert (given.once, given.asked.commits) == (False, True)


def test_no_server_commits_by_its_own_limits_within_a_second() -> None:
    assert not in_parts(named=False, seconds=0.99)
    assert in_parts(named=False, seconds=1.0)
    assert in_parts(named=True, seconds=0.0)


def test_a_script_that_fails_may_have_committed_where_it_names_a_limit_or_ran_long() -> None:
    body = json.dumps({"collections": {"write": "c"}, "action": "x", "intermediateCommitCount": 1}).encode()
    script = Operation(named("transaction.js"), "POST", "db", None, None, body=body)
    plain = Operation(named("transaction.js"), "POST", "db", None, None, body=b'{"action":"x"}')
    failed = b'{"error":true,"errorNum":1650,"errorMessage":"x"}'
    assert script_in_parts(script, 500, failed, 0.0)
    assert not script_in_parts(plain, 500, failed, 0.0)
    assert script_in_parts(plain, 500, failed, 2.0)
    assert not script_in_parts(script, 200, b"{}", 0.0)
    assert not script_in_parts(script, 403, b'{"errorNum":11}', 0.0)
    assert not script_in_parts(script, 404, b'{"errorNum":1203}', 0.0)
    other = Operation(named("cursor.create"), "POST", "db", None, None, body=body)
    assert not script_in_parts(other, 400, failed, 2.0)


def refused(target: str, status: int, number: int, message: str) -> bool:
    operation = decode_parts("POST", target.encode(), [])
    assert operation.endpoint.refusal is Refusal.UNKNOWN
    body = {"error": True, "code": status, "errorNum": number, "errorMessage": message}
    return wrote_nothing(operation, status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("target", "status", "number", "message"),
    [
        ("/_api/cursor/5/2/3", 400, 400, "expecting POST /_api/cursor/<cursor-id>"),
        ("/_api/import/x", 400, 601, "superfluous suffix, expecting /_api/import?collection=<identifier>"),
        ("/_db/shop/_api/transaction/a/b", 404, 404, "not found"),
        ("/_api/document/books/a", 400, 601, "superfluous suffix"),
        ("/_api/whatever", 404, 404, "unknown path '/_api/whatever'"),
    ],
)
def test_an_unknown_path_of_a_handler_that_works_completely_wrote_nothing(
    target: str, status: int, number: int, message: str
) -> None:
    assert refused(target, status, number, message)


def test_another_unknown_path_may_have_been_carried_out_in_parts() -> None:
    assert not refused("/_api/whatever", 400, 400, "failed at the second step")
    assert not refused("/_api/hot_backup/x", 404, 404, "not found")
    assert not refused("/_api/cursor/5/2/3", 500, 4, "internal error")
