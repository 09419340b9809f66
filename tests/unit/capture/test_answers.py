"""A document write: the request that is sent, what its answer says, and what the client sees of it (I6)."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.capture.answers import DocumentPlan, Opaque, parse_answer_in_turns, plan
from proxy.model.message import Headers, Request
from proxy.model.operations import Change, Operation
from proxy.model.parsed_answer import ParsedAnswer, revision_of
from proxy.model.revision import decode_rev
from proxy.wire.endpoints import named

REV, OLD = "_l6zhVHK---", "_l6zhVGK---"
HEADERS: Headers = [(b"Server", b"ArangoDB"), (b"Etag", b'"x"'), (b"Location", b"/_db/db/_api/document/c/a")]


def parse_answer(plan: DocumentPlan, status: int, headers: Headers, body: bytes) -> ParsedAnswer:
    return asyncio.run(parse_answer_in_turns(plan, status, headers, body))


def write(
    endpoint: str = "document.insert",
    body: object = b"",
    *,
    key: str | None = None,
    collection: str | None = "c",
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Operation:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Operation(named(endpoint), "POST", "db", collection, key, (), params or {}, headers or {}, raw)


def planned(*args: object, **named: object) -> DocumentPlan:
    made = plan(write(*args, **named))  # type: ignore[arg-type]
    assert isinstance(made, DocumentPlan)
    return made


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def answer(key: str = "a", *, over: str | None = None, **more: object) -> dict[str, object]:
    """Return ArangoDB's answer for one written document; `over` is the revision that it replaced."""
    said: dict[str, object] = {"_id": f"c/{key}", "_key": key, "_rev": REV}
    if over is not None:
        said["_oldRev"] = over
    return said | more


def document(key: str = "a", rev: str = REV, **content: object) -> dict[str, object]:
    return {"_key": key, "_id": f"c/{key}", "_rev": rev, **content}


# ---- before


def test_keys_are_known_from_the_path_or_the_body() -> None:
    assert planned("document.replace", {"_key": "b"}, key="a").keys == ("a",)
    assert planned(body={"_key": "a", "_id": "c/x"}).keys == ("a",)
    assert planned(body={"_id": "c/a"}).keys == ()  # an insert looks at `_key` alone
    assert planned(body=[{"_key": "a"}, {"_key": "b"}]).keys == ("a", "b")
    assert planned(body=[{"_key": "a"}, {"x": 1}]).keys == ()
    assert planned(body=b'  \n{"_key":"a"}').keys == ("a",)
    assert planned("document.remove_many", ["a", "c/b", "other/d", {"_key": "e"}, {"_id": "c/f"}]).keys == (
        *("a", "b", "d", "e", "f"),  # the collection of a handle is not looked at, as in ArangoDB
    )
    assert planned("document.update_many", [{"_key": "a"}, {"_id": "c/b"}, 5]).keys == ()
    assert planned("document.remove_many", {"_key": "a"}).keys == ("a",)


@pytest.mark.parametrize("body", [b"", b"{", b"[", b'{"_key":5}', b'[{"_key":null}]', b"\xff", b'["a"]', b"[5]"])
def test_bodies_that_arangodb_will_judge_have_no_keys(body: bytes) -> None:
    assert planned(body=body).keys == ()


@pytest.mark.parametrize(
    ("operation", "reason", "collections"),
    [
        (write("import"), "import is not captured", ("db/c",)),
        (write("transaction.js", collection=None), "transaction.js is not captured", ("db/*",)),
        (write(collection=None), "the collection is not named", ("db/*",)),
        (write(collection="1234"), "the collection is not named", ("db/*",)),
        (write(headers={"x-arango-trx-id": "1"}), "in a transaction", ("db/c",)),
        (write(headers={"x-arango-async": "store"}), "async job", ("db/c",)),
        (write(headers={"accept": "application/x-velocypack"}), "velocypack", ("db/c",)),
        (write(headers={"content-encoding": "gzip"}), "content encoding", ("db/c",)),
        (write(params={"isRestore": "true"}), "revisions given by the client", ("db/c",)),
    ],
)
def test_what_cannot_be_captured_says_why(operation: Operation, reason: str, collections: tuple[str, ...]) -> None:
    assert plan(operation) == Opaque(reason, collections)  # I10


def test_headers_that_change_nothing_are_no_reason() -> None:
    assert planned(headers={"x-arango-async": "false", "content-encoding": "identity", "if-match": '"x"'})


def test_the_request_asks_for_the_new_version_and_never_for_silence() -> None:
    insert, remove = planned(), planned("document.remove", key="a")
    path = b"/_db/db/_api/document/c"
    assert insert.target(path) == path + b"?returnNew=true"
    assert insert.target(path + b"?silent=1&returnNew=0&&keepNull=false&return%4eew=1") == (
        path + b"?keepNull=false&returnNew=true"
    )
    assert remove.target(path + b"/a?silent=true&returnOld=true") == path + b"/a?returnOld=true"
    assert remove.target(path + b"/a?silent=true") == path + b"/a"
    request = Request(
        "POST", path, [(b"Accept-Encoding", b"gzip"), (b"Authorization", b"x"), (b"accept", b"*/*")], b"{}", "1.1", "p"
    )
    sent = insert.rewritten(request)
    assert sent == Request(
        "POST", path + b"?returnNew=true", [(b"Authorization", b"x"), (b"accept", b"*/*")], b"{}", "1.1", "p"
    )
    assert request.target == path


# ---- after: one document


def test_an_insert_gives_its_change_and_the_answer_loses_what_was_not_asked_for() -> None:
    new = compact(document(text="ü\\n", nested={"new": [1.0, {"_rev": "x"}]}))
    body = compact(answer())[:-1] + b',"new":' + new + b"}"
    captured = parse_answer(planned(), 202, HEADERS, body)
    assert captured.body == compact(answer())
    assert captured.headers == HEADERS
    assert captured.changes == (Change("db/c", "a", decode_rev(REV), new),)
    assert captured.written_keys == ("a",)
    assert captured.complete
    asked = parse_answer(planned(params={"returnNew": "1"}), 202, HEADERS, body)
    assert asked.body == body
    assert asked.changes == captured.changes


def test_silence_is_kept_for_the_client() -> None:
    body = compact(answer(new=document()))
    captured = parse_answer(planned(params={"silent": "true", "returnNew": "true"}), 202, HEADERS, body)
    assert captured.body == b"{}"
    assert captured.headers == [(b"Server", b"ArangoDB")]
    assert len(captured.changes) == 1
    refused = parse_answer(planned(params={"silent": "true"}), 409, HEADERS, b'{"error":true}')
    assert refused == ParsedAnswer(b'{"error":true}', HEADERS)


def test_a_removal_gives_the_removed_revision() -> None:
    remove = planned("document.remove", key="a")
    captured = parse_answer(remove, 200, HEADERS, compact(answer()))
    assert captured.changes == (Change("db/c", "a", decode_rev(REV), None),)
    assert captured.body == compact(answer())
    with_old = compact(answer(old={"new": 1}))
    assert parse_answer(remove, 200, HEADERS, with_old).body == with_old


def test_ignored_inserts_and_no_ops_write_nothing() -> None:
    ignored = parse_answer(planned(params={"overwriteMode": "ignore"}), 202, HEADERS, compact(answer()))
    assert (ignored.changes, ignored.complete, ignored.body) == ((), True, compact(answer()))
    update = planned("document.update", {}, key="a")
    # mirror-protocol, answer 8: only the `new` whose revision is the answer's
    other = parse_answer(update, 202, HEADERS, compact(answer(over=REV, new=document(rev=OLD))))
    assert (other.changes, other.complete) == ((), True)
    same = parse_answer(update, 202, HEADERS, compact(answer(over=REV, new=document())))
    assert [change.rev for change in same.changes] == [decode_rev(REV)]


def test_what_was_written_and_not_shown_must_be_read_again() -> None:
    update = planned("document.update", {}, key="a")
    assert not parse_answer(update, 202, HEADERS, compact(answer(over=OLD))).complete
    assert not parse_answer(update, 202, HEADERS, compact(answer(over=OLD, new=document(rev=OLD)))).complete
    assert not parse_answer(update, 202, HEADERS, b'{"_key":"a","_rev":"?"}').complete
    assert not parse_answer(update, 202, HEADERS, b"{}").complete


@pytest.mark.parametrize(
    ("status", "body", "late"),
    [
        (404, b'{"errorNum":1202}', False),
        (412, b'{"errorNum":1200}', False),
        (503, b'{"errorNum":1429}', False),
        (503, b'{"errorNum":21003}', False),
        (500, b'{"errorNum":1457}', True),
        (502, b"<html>", True),
    ],
)
def test_errors_wrote_nothing_but_nobody_knows_of_a_servers_own(status: int, body: bytes, late: bool) -> None:
    captured = parse_answer(planned(), status, HEADERS, body)
    assert captured == ParsedAnswer(body, HEADERS, (), (), not late, late)


# ---- after: arrays

CONFLICT = {"error": True, "errorNum": 1210, "errorMessage": "unique constraint violated"}


def test_an_array_gives_one_change_for_each_document_that_was_written() -> None:
    shown = [answer("a", new=document("a")), CONFLICT, answer("b", new=document("b", x=1))]
    captured = parse_answer(planned(), 202, HEADERS, compact(shown))
    assert captured.body == compact([answer("a"), CONFLICT, answer("b")])
    assert [change.key for change in captured.changes] == ["a", "b"]
    assert captured.written_keys == ("a", "b")
    assert parse_answer(planned(params={"returnNew": "true"}), 202, HEADERS, compact(shown)).body == compact(shown)
    spaced = json.dumps(shown).encode()
    plain = json.dumps([answer("a"), CONFLICT, answer("b")]).encode()
    assert parse_answer(planned(), 202, HEADERS, spaced).body == plain
    silent = planned(params={"silent": "1"})
    assert parse_answer(silent, 202, HEADERS, compact(shown)).body == compact([CONFLICT])
    assert parse_answer(silent, 202, HEADERS, compact(shown[::2])).body == b"{}"
    assert parse_answer(silent, 202, HEADERS, b"[]").body == b"[]"
    partial = parse_answer(planned(), 202, HEADERS, compact([answer("a", over=OLD), shown[0]]))
    assert not partial.complete
    assert partial.written_keys == ("a", "a")


def test_an_array_of_removals_is_left_as_it_is() -> None:
    body = json.dumps([answer("a"), CONFLICT]).encode()
    captured = parse_answer(planned("document.remove_many", ["a", "b"]), 200, HEADERS, body)
    assert captured.body == body
    assert [change.raw for change in captured.changes] == [None]


# ---- odd answers


def test_lone_surrogates_of_old_servers_pass() -> None:
    new = b'{"_key":"a","_id":"c/a","text":"\\ud800","_rev":"' + REV.encode() + b'"}'
    said = compact(answer())[:-1]
    captured = parse_answer(planned(), 202, HEADERS, said + b',"new":' + new + b"}")
    assert captured.body == compact(answer())
    assert [change.raw for change in captured.changes] == [new]
    many = parse_answer(planned(), 202, HEADERS, b"[" + said + b',"new":' + new + b"}]")
    assert many.body == compact([answer()])
    assert many.changes == captured.changes
    assert revision_of(new) == decode_rev(REV)
    with pytest.raises(ValueError, match="without a revision"):
        revision_of(b'{"_key":"a"}')


@pytest.mark.parametrize(("name", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_an_answer_that_was_compressed_all_the_same_is_undone(name: bytes, pack: object) -> None:
    assert callable(pack)
    packed = pack(compact(answer(new=document())))
    captured = parse_answer(planned(), 202, [*HEADERS, (b"Content-Encoding", name), (b"Content-Length", b"9")], packed)
    assert captured.body == compact(answer())
    assert captured.headers == HEADERS
    with pytest.raises(ValueError, match="cannot be decompressed"):
        parse_answer(planned(), 202, [(b"content-encoding", name)], b"nonsense")


def test_what_is_no_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="not asked for"):
        parse_answer(planned(), 200, [(b"content-encoding", b"br")], b"x")
    with pytest.raises(ValueError):
        parse_answer(planned(), 200, [], b"<html>")
    assert parse_answer(planned(), 200, [(b"content-encoding", b"identity")], b"[]").complete


# ---- any answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
contents = st.dictionaries(st.text(max_size=5).filter(lambda name: name[:1] != "_"), json_values, max_size=4)


@given(
    st.lists(st.tuples(st.booleans(), contents, st.booleans()), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_the_client_sees_what_it_asked_for(
    items: Sequence[tuple[bool, dict[str, object], bool]], wants_new: bool, old: bool, separators: tuple[str, str]
) -> None:
    """I6: with and without the proxy's additions, the answers are the same bytes."""

    def said(with_new: bool) -> bytes:
        shown: list[object] = []
        for index, (failed, content, _) in enumerate(items):
            key = f"k{index}"
            more: dict[str, object] = {"old": document(key, OLD) | content} if old else {}
            if with_new:
                more["new"] = document(key, REV) | content
            shown.append(CONFLICT if failed else answer(key, over=OLD if old else None) | more)
        return json.dumps(shown, separators=separators, ensure_ascii=bool(len(items) % 2)).encode("utf-8")

    made = planned(params={"returnNew": str(wants_new).lower(), "returnOld": str(old).lower()})
    captured = parse_answer(made, 202, HEADERS, said(with_new=True))
    assert captured.body == said(with_new=wants_new)
    assert len(captured.changes) == sum(not failed for failed, _, _ in items)
    for change in captured.changes:
        assert change.raw is not None
        assert json.loads(change.raw)["_key"] == change.key
    for single in settle_each(made, items, separators):
        assert single.complete


def settle_each(
    made: DocumentPlan, items: Sequence[tuple[bool, dict[str, object], bool]], separators: tuple[str, str]
) -> list[ParsedAnswer]:
    """Return each item as the answer of a single write."""
    done = []
    for _, content, first in items:
        shown = answer("a", new=document("a") | content)
        if first:  # no ArangoDB prints it so; cut all the same
            shown = {"new": shown.pop("new"), **shown}
        body = json.dumps(shown, separators=separators).encode()
        captured = parse_answer(made, 202, HEADERS, body)
        plain = {name: value for name, value in shown.items() if name != "new"}
        assert json.loads(captured.body) == (shown if made.wants_new else plain)
        done.append(captured)
    return done
