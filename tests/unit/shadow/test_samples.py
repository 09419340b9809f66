"""What a sample of a mismatch contains."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.model.operations import Operation
from proxy.shadow.diff.documents import Difference, Kind
from proxy.shadow.samples import MAX_TEXT, MismatchEvidence, Redaction, sample
from proxy.wire.endpoints import named

READ = Operation(named("document.read"), "GET", "d b", "c", "k", ("_api", "document", "c", "k/1"), {"a": "ü"})
DIFFERENCE = Difference(Kind.VALUE, ("x",), ("k",))


def kept(
    operation: Operation, origin: bytes, target: bytes, *, redact: bool = False, paths: tuple[str, ...] = ()
) -> dict[str, Any]:
    evidence = MismatchEvidence(operation, DIFFERENCE, origin, target, "r", trace="00-1-2-01")
    return sample(evidence, text="FOR ?", redaction=Redaction(redact, paths))


def test_answers_are_kept_as_they_were_printed() -> None:
    found = kept(READ, b'{"_rev":"_a","x":1.0,"u":"\\u0000"}', b"no JSON")

    assert found["request"] == {"method": "GET", "target": "/_db/d%20b/_api/document/c/k%2F1?a=%C3%BC"}
    assert (found["origin"], found["target"]) == ('{"_rev":"_a","x":1.0,"u":"\\u0000"}', "no JSON")
    assert (found["origin_rev"], found["target_rev"]) == ("_a", None)


def test_long_answers_are_cut() -> None:
    found = kept(READ, b"x" * (MAX_TEXT + 1), b"")

    assert found["origin"].endswith(f"… ({MAX_TEXT + 1} characters)")


def test_redacted_answers_have_types_for_values() -> None:
    raw = orjson.dumps({"_key": "k", "_rev": "r", "n": 1, "s": "secret", "b": True, "z": None, "l": [{"m": 1.5}]})

    found = kept(READ, raw, b"secret", redact=True)

    assert orjson.loads(found["origin"]) == {
        "_key": "k",
        "_rev": "r",
        "n": "number",
        "s": "string",
        "b": "bool",
        "z": "null",
        "l": [{"m": "number"}],
    }
    assert found["target"] == "6 bytes"


def test_queries_are_kept_with_their_bind_variables() -> None:
    body = orjson.dumps({"query": "FOR 'secret'", "bindVars": {"a": "secret"}})
    operation = Operation(named("cursor.create"), "POST", "db", body=body)

    plain = kept(operation, b"[]", b"[]")["request"]
    redacted = kept(operation, b"[]", b"[]", redact=True)["request"]

    assert (plain["query"], plain["bindVars"]) == ("FOR 'secret'", {"a": "secret"})
    assert (redacted["query"], redacted["bindVars"]) == ("FOR ?", {"a": "string"})


def test_bodies_of_reads_name_their_keys() -> None:
    operation = Operation(named("document.read_many"), "PUT", "db", "c", body=b'["k"]')

    assert kept(operation, b"[]", b"[]")["request"]["body"] == '["k"]'
