"""Statements of queries/server.sql."""

from __future__ import annotations

from sql.statement import Single, Statement

ALIVE = Single("server", "alive", int)
VERSION = Single("server", "version", int)
VERSION_NAME = Single("server", "version_name", str)
READ_ONLY = Single("server", "read_only", bool)
MISSING_RIGHT = Single("server", "missing_right", str)
PROCESS = Single("server", "process", int)
LOCK = Statement("server", "lock")
TRY_LOCK = Single("server", "try_lock", bool)
UNLOCK = Single("server", "unlock", bool)
