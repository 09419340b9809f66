"""The queries that this process runs: they are listed while they run, can be killed, and are remembered if slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from proxy.aql import ast
from proxy.base.errors import ArangoError, DatabaseError
from proxy.devserver.store import access
from proxy.devserver.store.queries import slow_queries
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.server import ServerState
from proxy.model.cursor_requests import CursorRequest
from proxy.model.operations import Operation


class LeftToGeneralWay(Exception):
    """The general way executes the query, and tracks it."""


class QueryTracking:
    """Tracks queries outside the general way, whose handlers do it themselves. sessions: the state of this process."""

    def __init__(self, sessions: ServerState) -> None:
        self._sessions = sessions

    @contextlib.asynccontextmanager
    async def running(
        self, server: ServerState, operation: Operation, request: CursorRequest
    ) -> AsyncIterator[RunningQuery]:
        """Track the query while the body executes it. server: who may do what.

        Raise ArangoError 1500 if it is killed.
        """
        sessions = self._sessions
        user = access.identity(server, operation).user
        began = sessions.now()
        query = RunningQuery(
            str(sessions.tick()), operation.database, request.query, request.bind_vars, began, user=user
        )
        code, left = 0, False
        sessions.running[query.id] = query
        try:
            async with asyncio.timeout(None) as limit:
                query.interrupt = lambda: limit.reschedule(0)
                yield query
        except TimeoutError:
            if not query.killed:
                raise
            code = 1500
            raise ArangoError(1500, "query killed") from None
        except ArangoError as error:
            code = error.number
            raise
        except DatabaseError:
            code = 503
            raise
        except LeftToGeneralWay:
            left = True
            raise
        finally:
            del sessions.running[query.id]
            if not left:
                seconds = max(0.0, sessions.now() - began)
                slow_queries.remember(sessions, query, seconds, code=code, streaming=request.streaming)


def pauses_of(running: RunningQuery, request: CursorRequest, query: ast.Query) -> RunningQuery | None:
    """Return the running query, with the time that it may take, if it calls SLEEP; otherwise None."""
    if "sleep" not in request.query.lower():
        return None
    if not any(isinstance(one, ast.Call) and one.name == "SLEEP" for one in ast.walk(query)):
        return None
    running.most = request.max_runtime
    return running
