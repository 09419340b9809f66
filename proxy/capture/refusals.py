"""Does ArangoDB's answer say that a request wrote nothing? Pure.

The rule: what a request did is judged after ArangoDB's answer, never before it. A write that is not captured by key
leaves a mark, a resync or a coverage gap, and rolls a flip back, only if ArangoDB carried it out or may have done so; a
request that was refused leaves nothing. What the request's text looks like decides nothing: neither words in a query,
nor that its path is unknown.

An error says that nothing was written if ArangoDB returns it before it runs anything (no rights, no such path or
method, a text that cannot be parsed, a queue that is full), or if it undoes all of a request that fails. The exceptions
may have written something before they failed, and count as carried out:

    queries, simple writes   an error of the run: what a query wrote may have been committed in parts
    transactions as scripts  an error of the run, if that is possible (`in_parts`)
    batches                  parts of it ran before one that could not be read
    scripts, Foxx services   the status is that of the script, but for ArangoDB's own words
    unknown requests         but for a path that is not there, and for what no handler of `_WHOLE` carries out in parts
    5xx                      the outcome is unknown, but for the errors of `_NOT_BEGUN`

A query that was answered has written nothing if ArangoDB counts no write that it executed.

Intermediate commits: a query commits after a million operations or 512 MiB, or after as many as its request says. No
server carries out that much within a second: one that fails sooner, and whose request names no limits, has committed
nothing (`in_parts`). Lower limits that a server was started with are not known here. What a query with a loop may have
written is searched whenever it fails; with such limits no answer waits for what it removed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from proxy.model.endpoint import Effect, Refusal
from proxy.model.error_body import decode_error
from proxy.model.operations import Operation

# errors of a query, simple or not, that was never run: parsed, bound, authorised, planned
NEVER_RAN: Final = frozenset(
    {
        *(10, 11, 17, 400, 401, 403, 404, 405, 501, 600, 1004, 1203, 1228, 1229),
        *(1501, 1502, 1504, 1510, 1511, 1512, 1521, 1522, 1524, 1539, 1540, 1541, 1544, 1551, 1552, 1553),
        *(1573, 1574, 1575, 1576, 1577, 1579, 1595),
        *(1654, 1655),  # there is no such transaction, or it was aborted
    }
)
# whatever the request: too few replicas, the queue is full, it would wait too long there
_NOT_BEGUN: Final = frozenset({1429, 21003, 21004})
SHOWING: Final = frozenset({1200, 1202, 1210})  # errors that show a document that is there, or is not
_CONFLICTING: Final = re.compile(r"conflicting key: ([^\s\"\\]+)")
_UNAVAILABLE: Final = 503  # status and number of a server that starts, or is in maintenance: it takes no requests
_NO_ACCESS: Final = frozenset({401, 403, 405, 501})
# ArangoDB's own refusals of what would come to a Foxx service: (status, number)
_BEFORE_SERVICES: Final = frozenset({(401, 11), (405, 405), (501, 9)})
# below these paths of the API every request is carried out completely, or refused
_WHOLE: Final = frozenset(
    {
        *("collection", "database", "document", "edges", "gharial", "import", "index", "user", "view"),
        # a path that these do not have runs no query and no transaction
        *("analyzer", "cursor", "explain", "query", "transaction"),
    }
)
_UNROUTED: Final = "unknown path '"  # ArangoDB's router: no handler got the request


_SECOND: Final = 1.0
_COMMIT: Final = "intermediateCommit"


class _Stats(msgspec.Struct):
    executed: int = msgspec.field(name="writesExecuted", default=-1)


class _Extra(msgspec.Struct):
    stats: _Stats = msgspec.field(default_factory=_Stats)


class _Answer(msgspec.Struct):
    extra: _Extra = msgspec.field(default_factory=_Extra)


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def wrote_nothing(operation: Operation, status: int, body: object) -> bool:
    """Return True if the answer says so. body: the answer's, as bytes; anything else is one that cannot be read."""
    if status < 400:
        return operation.effect is Effect.QUERY and executed(body) == 0
    number, message = error(body)
    if status >= 500 and status != 501:
        return not_begun(status, body)
    if number in _NOT_BEGUN:
        return True
    if operation.endpoint.refusal is Refusal.SERVICE:
        return (status, number) in _BEFORE_SERVICES or (status == 404 and message.startswith(_UNROUTED))
    if status in _NO_ACCESS:
        return True
    unrouted = status == 404 and message.startswith(_UNROUTED)
    match operation.endpoint.refusal:
        case Refusal.QUERY:
            return number in NEVER_RAN
        case Refusal.UNKNOWN:  # below `_WHOLE`: a segment too many, or no such action
            whole = operation.path[:1] == ("_api",) and not _WHOLE.isdisjoint(operation.path[1:2])
            return whole or unrouted
        case Refusal.SCRIPT:
            return unrouted
        case Refusal.INSTALLATION:
            return status == 404
        case Refusal.BATCH:
            return status != 400
        case _:
            return True


_NO_MATCH: Final = (404, "no match")


def in_parts(*, named: bool, seconds: float) -> bool:
    """Return True if a query that failed may have been committed in parts.

    named: its request names limits of intermediate commits. seconds: between its request and its answer.
    """
    return named or seconds >= _SECOND


def script_in_parts(operation: Operation, status: int, body: object, seconds: float) -> bool:
    """Return True if a transaction that is a script, and that failed, may have been committed in parts."""
    if operation.endpoint.refusal is not Refusal.SCRIPTED_TRANSACTION:
        return False
    if status < 400 or status in _NO_ACCESS or error(body)[0] in NEVER_RAN:
        return False
    try:
        names = _NAMES.decode(operation.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False  # it was never a transaction
    return in_parts(named=any(name.startswith(_COMMIT) for name in names), seconds=seconds)


def not_begun(status: int, body: object) -> bool:
    """Return True if a 5xx says that the request, whatever it was, did not begin."""
    number, _ = error(body)
    return status == 501 or number in _NOT_BEGUN or status == number == _UNAVAILABLE


def authorised(status: int, body: object) -> bool:
    """Return True if a request was carried out, or answered with what is there: one that counts as traffic.

    A first example that no document matches is such an answer; only its text differs from that of an unknown path.
    """
    if status == _NO_MATCH[0] and error(body) == _NO_MATCH:
        return True
    return status < 400 or (status in (404, 409, 410, 412) and error(body)[0] not in NEVER_RAN | _NOT_BEGUN)


def executed(body: object) -> int:
    """Return how many writes the answer to a query counts; -1 if it does not say (a stream before its last batch)."""
    try:
        return _ANSWER.decode(body).extra.stats.executed if isinstance(body, bytes) else -1
    except (msgspec.DecodeError, UnicodeDecodeError):
        return -1


def conflicting(body: object) -> tuple[str, ...]:
    """Return the key of the document that an error says it conflicts with, if it names one."""
    named = _CONFLICTING.search(error(body)[1])
    return (named[1],) if named else ()


def error(body: object) -> tuple[int, str]:
    """Return ArangoDB's number and message of an error; 0 and empty if it is not an error of ArangoDB's."""
    if not isinstance(body, bytes):
        return 0, ""
    try:
        found = decode_error(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0, ""
    return found.number, found.message
