"""PostgreSQL, by asyncpg: the only package that imports it. Connections, transactions, notifications, errors.

pool               a pool of connections, and the shortcuts for one statement
session            one connection: statements, transactions, cursors, COPY, notifications
failures           errors of asyncpg and of the socket as errors of proxy/base/errors.py
connect_backoff    the pause after PostgreSQL refused a session

A statement is a `sql.statement.Statement`, which has the type of its rows. Errors are translated here:
`DatabaseUnavailable` (no connection, broken, timed out, or refused for now), `SchemaOutdated` (schema missing),
`StatementError` (with the SQLSTATE).

**A session does not outlive the circumstances it was made in.** proxy/base/sqlstates.py lists what each error means for
the session on which it came. A session that PostgreSQL would continue to refuse is closed, and so is every other idle
one of the pool, which was made in the same circumstances. A session of a standby is closed before any statement runs on
it: it would show an earlier state as the current one (mirror-protocol: "primary only"). If PostgreSQL refuses sessions
as such (a changed password, too many of them), the pool tries again after a growing pause, and raises the last refusal
meanwhile.

Each session sets for itself what a role may have preset (proxy/base/session_settings.py).

Terms: *session*: one connection while one user has it; *pool*: the sessions that wait for use; *SQLSTATE*:
PostgreSQL's code of an error.
"""

from proxy.base.database.failures import translate
from proxy.base.database.pool import Database
from proxy.base.database.session import Session

__all__ = ["Database", "Session", "translate"]
