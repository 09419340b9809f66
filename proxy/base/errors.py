"""Every error that Crossfade raises, and what ArangoDB calls it.

    CrossfadeError
    ├── ConfigurationError          a setting is missing or wrong: the message states what to set       (exit 2)
    ├── DatabaseError               PostgreSQL, as the target or as the control plane
    │   ├── DatabaseUnavailable         no connection, or it broke, or refused for now                   (exit 2)
    │   │   ├── DatabaseBusy                every connection of the pool is in use
    │   │   ├── DatabaseTimedOut            no answer within the limit of a statement
    │   │   └── CommitOutcomeUnknown        the answer to a commit was lost
    │   ├── SchemaOutdated              `crossfade migrate` has not been run, or not by this version    (exit 2)
    │   └── StatementError              PostgreSQL took the statement and refused it (has the SQLSTATE)
    ├── PreconditionFailed          a command that its conditions forbid (a gate, a stage)              (exit 1)
    ├── UpstreamError               an upstream server did not answer
    │   ├── UpstreamUnavailable         nothing was sent: the operation did not happen
    │   └── UpstreamOutcomeUnknown      it was sent and no whole answer came: the outcome is unknown
    ├── FenceRefused                PostgreSQL does not take a collection's writes now, and nothing was done
    ├── IsolationError              work in a worker process ran into a limit, or found no room
    ├── FramingError                bytes that are not an HTTP message: 400 and a close
    ├── JournalError                the journal cannot be written or read
    └── ArangoError                 an answer in ArangoDB's error shape
        └── Unsupported             what Crossfade knows of and cannot do, by name (501)
            └── OverLimit               a read that a limit of Crossfade's own ended

Errors of other libraries are translated at the module that owns the library, with `from`.
Numbers and messages: `proxy.base.arango_errors`; statuses: protocol page, section 2 (errorNum → HTTP).
"""

from __future__ import annotations

from typing import Final

from proxy.base.arango_errors import ARANGO_ERRORS


class CrossfadeError(Exception):
    """The root of the tree."""


class PausedError(CrossfadeError):
    """The evaluation of a query has met calls of SLEEP: it must be repeated after that time."""

    def __init__(self) -> None:
        super().__init__("a query sleeps")


class ConfigurationError(CrossfadeError):
    """A setting is missing or wrong; the message states what to set."""


class DatabaseError(CrossfadeError):
    """PostgreSQL, as the target or as the control plane. sqlstate: empty if it did not answer.

    of_statement: it was raised by a statement, not while a session was being opened. where: the context that PostgreSQL
    gives, such as the index whose value a statement waited for.
    """

    of_statement = False
    where = ""

    def __init__(self, message: str = "", sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseUnavailable(DatabaseError):
    """No connection could be had, or it broke, or a time limit ran out: the outcome of a statement is unknown.

    With a SQLSTATE: PostgreSQL answered, and takes such a statement later (proxy/base/sqlstates.py).
    """


class DatabaseBusy(DatabaseUnavailable):
    """Every connection of the pool was in use for as long as one may wait: nothing was sent."""


class DatabaseTimedOut(DatabaseUnavailable):
    """No answer within our own limit for a statement; it is cancelled if PostgreSQL can be reached."""


class CommitOutcomeUnknown(DatabaseUnavailable):
    """A commit was sent and its answer was lost: the transaction may have happened, or not."""


class SchemaOutdated(DatabaseError):
    """The schema `_crossfade` is missing or of another version: run `crossfade migrate`."""


class StatementError(DatabaseError):
    """PostgreSQL took the statement and refused it; it had no effect."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message, sqlstate)

    def __reduce__(self) -> tuple[type[StatementError], tuple[str, str]]:
        return type(self), (str(self), self.sqlstate)


class PreconditionFailed(CrossfadeError):
    """A command was refused by its conditions; the message names them and the remedy."""


class UpstreamError(CrossfadeError):
    """An upstream server did not answer."""


class UpstreamUnavailable(UpstreamError):
    """Nothing was sent, so the operation did not happen."""


class UpstreamOutcomeUnknown(UpstreamError):
    """The request was sent (in part or whole) and no whole answer came: its outcome is unknown."""


class FenceRefused(CrossfadeError):
    """The fence of a promoted collection refused a request, which has done nothing: look at the control row again."""


class IsolationError(CrossfadeError):
    """Work in a worker process was not finished. reason: "time", "memory", "ended" or "busy"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FramingError(CrossfadeError):
    """The bytes from a peer are not an HTTP message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class JournalError(CrossfadeError):
    """The journal cannot be written or read."""


class ArangoError(CrossfadeError):
    """An answer in ArangoDB's error shape.

    number: ArangoDB's errorNum; message: the errorMessage; status: the HTTP status, from STATUS unless given.
    """

    def __init__(self, number: int, message: str | None = None, *, status: int | None = None) -> None:
        self.number = number
        self.message = message if message is not None else MESSAGES.get(number, "error")
        self.status = status if status is not None else STATUS.get(number, 500)
        super().__init__(f"{self.status}/{number}: {self.message}")

    def __reduce__(self) -> tuple[object, ...]:
        return _arango_error, (self.number, self.message, self.status)


class Unsupported(ArangoError):
    """A feature that is known and not built: always named, never a silent difference (I10)."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        super().__init__(9, f"unsupported by Crossfade: {feature}", status=501)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.feature,)


class OverLimit(Unsupported):
    """A read that one of our limits ended: of time, memory or concurrency. ArangoDB may well answer it."""


def _arango_error(number: int, message: str, status: int) -> ArangoError:
    """Rebuild a pickled ArangoError: it travels from a worker to its parent."""
    return ArangoError(number, message, status=status)


# errorNum -> HTTP status (protocol page, section 2). The one table.
STATUS: Final[dict[int, int]] = {
    4: 500,
    9: 501,
    10: 400,
    11: 403,
    17: 400,
    18: 500,
    21: 410,
    28: 500,
    32: 500,
    400: 400,
    401: 401,
    403: 403,
    404: 404,
    405: 405,
    409: 409,
    412: 412,
    413: 413,
    500: 500,
    501: 501,
    503: 503,
    600: 400,
    601: 400,
    1004: 403,
    1200: 409,
    1202: 404,
    1203: 404,
    1204: 400,
    1205: 400,
    1207: 409,
    1208: 400,
    1209: 404,
    1210: 409,
    1212: 404,
    1218: 400,
    1221: 400,
    1222: 400,
    1226: 400,
    1227: 400,
    1228: 404,
    1229: 400,
    1230: 403,
    1232: 400,
    1233: 400,
    1225: 409,
    1235: 400,
    1429: 503,
    1470: 501,
    1500: 410,
    1501: 400,
    1502: 400,
    1504: 400,
    1510: 400,
    1511: 400,
    1512: 400,
    1524: 400,
    1540: 400,
    1541: 400,
    1542: 400,
    1543: 400,
    1550: 400,
    1551: 400,
    1552: 400,
    1553: 400,
    1562: 400,
    1561: 400,
    1563: 400,
    1568: 400,
    1569: 400,
    1572: 400,
    1574: 400,
    1575: 400,
    1579: 400,
    1582: 404,
    1591: 404,
    1593: 400,
    1594: 400,
    1595: 400,
    1600: 404,
    1601: 409,
    1620: 400,
    1621: 400,
    1650: 400,
    1652: 400,
    1653: 410,
    1654: 410,
    1655: 404,
    1700: 400,
    1702: 409,
    1703: 404,
    1852: 404,
    1920: 400,
    1921: 400,
    1922: 400,
    1923: 400,
    1924: 404,
    1925: 409,
    1926: 404,
    1928: 400,
    1929: 400,
    1930: 404,
    1935: 400,
    1938: 400,
    1939: 400,
    1947: 400,
    1948: 400,
    3009: 404,
    21004: 412,
}

# Default messages; they differ from the table's if the server leaves the placeholder out.
MESSAGES: Final[dict[int, str]] = {
    number: kind.message for number, kind in ARANGO_ERRORS.items() if "%" not in kind.message
} | {
    28: "arangod is locked",
    401: "not authorized to execute this request",
    413: "request entity too large",
    600: "VPackError error: invalid JSON",
    1924: "graph not found",
    21004: "server is too busy: the queue time is above the limit of the request",
}


def error_label(error: BaseException) -> str:
    """Return the error's class, with the SQLSTATE or ArangoDB's number: for logs, since texts may hold documents."""
    if isinstance(error, DatabaseError):
        return f"{type(error).__name__} {error.sqlstate}".rstrip()
    if isinstance(error, ArangoError):
        return f"{type(error).__name__} {error.number}"
    return type(error).__name__
