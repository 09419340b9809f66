"""SQLSTATEs, and the reaction to each of them: the only such table. Pure.

    AGAIN     the session is sound: the same statement may succeed on it later
    RENEW     the session keeps a state that outlived its cause: it is closed, with every other one that the pool has
              idle, and the statement is tried on a new one
    DOCUMENT  a value in a row is refused: that document becomes a dead letter, and never stops the others. So does
              whatever is not known to concern every row: a trigger may raise any SQLSTATE, and if it continues to
              raise one of the others for a row, proxy/replication/bisection.py isolates that row
    REFUSE    the statement is wrong here (a right, a name, a version): a repetition gives the same error

A pooled session that PostgreSQL would refuse for as long as it lives must never be used twice: a database that was
read-only for a minute (a full disk at a hosted service, a failover behind a load balancer) would remain so for the
pool. `AGAIN` and `RENEW` become `DatabaseUnavailable`, after which every user of the pool tries again (conflicts of
class 40 are `StatementError`: it is known that they had no effect); the others are `StatementError`.
"""

from __future__ import annotations

import enum
from typing import Final


class Reaction(enum.Enum):
    """The reaction to an error of PostgreSQL."""

    AGAIN = "again"
    RENEW = "renew"
    DOCUMENT = "document"
    REFUSE = "refuse"


TOO_MANY_CONNECTIONS: Final = "53300"
_STATES: Final = {
    "25006": Reaction.RENEW,  # read_only_sql_transaction
    "25P02": Reaction.RENEW,  # in_failed_sql_transaction
    "25P03": Reaction.RENEW,  # idle_in_transaction_session_timeout
    "25P04": Reaction.RENEW,  # transaction_timeout
    "26000": Reaction.RENEW,  # invalid_sql_statement_name: prepared on another session, by a pooler
    "42P05": Reaction.RENEW,  # duplicate_prepared_statement: likewise
    "34000": Reaction.RENEW,  # invalid_cursor_name: likewise
    "3D000": Reaction.RENEW,  # invalid_catalog_name: the database is not there (yet)
    "53100": Reaction.AGAIN,  # disk_full
    "53400": Reaction.AGAIN,  # configuration_limit_exceeded
    "55006": Reaction.AGAIN,  # object_in_use
    "55P03": Reaction.AGAIN,  # lock_not_available
    "57014": Reaction.AGAIN,  # query_canceled
    "58030": Reaction.AGAIN,  # io_error
}
_CLASSES: Final = {
    "08": Reaction.RENEW,  # connection exception
    "22": Reaction.DOCUMENT,  # data exception
    "23": Reaction.DOCUMENT,  # integrity constraint violation
    "28": Reaction.RENEW,  # invalid authorization
    "40": Reaction.AGAIN,  # transaction rollback
    "44": Reaction.DOCUMENT,  # with check option violation
    "53": Reaction.RENEW,  # insufficient resources: memory of the session, connections
    "54": Reaction.DOCUMENT,  # program limit exceeded
    "57": Reaction.RENEW,  # operator intervention: 57P01 to 57P05
    "58": Reaction.RENEW,  # system error
    "P0": Reaction.DOCUMENT,  # raised by a trigger
    "XX": Reaction.RENEW,  # internal error
} | dict.fromkeys(
    # none at all, features, grantors, roles, transactions, prepared statements, privileges, savepoints, catalogs,
    # schemas, access and syntax, states of objects, snapshots, configuration, foreign data
    ("", "0A", "0L", "0P", "25", "26", "2B", "2D", "3B", "3D", "3F", "42", "55", "72", "F0", "HV"),
    Reaction.REFUSE,
)

# refusals of a session as such, before any statement: an immediate second attempt would be refused as well
_REFUSES_SESSIONS: Final = frozenset({"28", "53", "3D"})

_POOLER: Final = "the connection uses a pooler in transaction mode: connect directly, or by a pooler in session mode"
_MEANING: Final = {
    "08P01": _POOLER,
    "26000": _POOLER,
    "34000": _POOLER,
    "42P05": _POOLER,
    "25006": "it takes no writes: a standby, or `default_transaction_read_only` is on, as managed services set it "
    "where a disk is full",
    "28000": "it does not let the user of CROSSFADE_DSN in: see its pg_hba.conf",
    "28P01": "the password in CROSSFADE_DSN is not, or no longer, the one that it knows",
    "3D000": "it has no database of the name in CROSSFADE_DSN",
    "53100": "its disk is full",
    TOO_MANY_CONNECTIONS: "it has no connection left: raise its `max_connections`, or lower the connections that the "
    "proxies open",
    "55P03": "another session holds a lock for longer than `lock_timeout`",
    "57014": "the statement was cancelled, by a time limit or by hand",
    "57P01": "it is being shut down, or an administrator ended the session",
    "57P03": "it is starting up or shutting down",
}


def reaction(sqlstate: str) -> Reaction:
    """Return the reaction to an error with this SQLSTATE."""
    return _STATES.get(sqlstate) or _CLASSES.get(sqlstate[:2], Reaction.DOCUMENT)


def is_transient(sqlstate: str) -> bool:
    """Return True if the same statement may succeed later, on this session or on a new one."""
    return reaction(sqlstate) in (Reaction.AGAIN, Reaction.RENEW)


def of_a_document(sqlstate: str) -> bool:
    """Return True if PostgreSQL refused the content of one document, and would accept others."""
    return reaction(sqlstate) is Reaction.DOCUMENT


def is_a_conflict(sqlstate: str) -> bool:
    """Return True if the transaction conflicted with another one (deadlock, serialisation); it had no effect."""
    return sqlstate[:2] == "40"


def may_succeed_on_new_session(sqlstate: str) -> bool:
    """Return True if a read may succeed immediately on a new session, since only the state of this one is outdated."""
    return reaction(sqlstate) is Reaction.RENEW and not refuses_sessions(sqlstate) and sqlstate[:2] != "XX"


def refuses_sessions(sqlstate: str) -> bool:
    """Return True if PostgreSQL refuses sessions as such."""
    return sqlstate[:2] in _REFUSES_SESSIONS


def meaning(sqlstate: str) -> str:
    """Return an explanation for operators; empty if PostgreSQL's message is sufficient."""
    return _MEANING.get(sqlstate, "")
