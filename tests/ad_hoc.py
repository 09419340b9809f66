"""A pool that accepts SQL text besides statements, for what only tests query."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar, cast, overload

import asyncpg

from proxy.base import database
from sql.statement import Single, Statement

T = TypeVar("T")


class Session(database.Session):
    """A session that accepts text too; rows of text are asyncpg's records."""

    @overload
    async def fetch(self, statement: Statement[T], *values: object) -> list[T]: ...
    @overload
    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]: ...
    async def fetch(self, statement: Statement[Any] | str, *values: object) -> list[Any]:
        if not isinstance(statement, str):
            return await super().fetch(statement, *values)
        with self._watched():
            return await self._connection.fetch(statement, *values, timeout=self._timeout)

    @overload
    async def fetchrow(self, statement: Statement[T], *values: object) -> T | None: ...
    @overload
    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None: ...
    async def fetchrow(self, statement: Statement[Any] | str, *values: object) -> Any:
        if not isinstance(statement, str):
            return await super().fetchrow(statement, *values)
        with self._watched():
            return await self._connection.fetchrow(statement, *values, timeout=self._timeout)

    @overload
    async def fetchval(self, statement: Single[T], *values: object) -> T: ...
    @overload
    async def fetchval(self, statement: str, *values: object) -> Any: ...
    async def fetchval(self, statement: Single[Any] | str, *values: object) -> Any:
        if not isinstance(statement, str):
            return await super().fetchval(statement, *values)
        with self._watched():
            return await self._connection.fetchval(statement, *values, timeout=self._timeout)

    async def execute(self, statement: Statement[object] | str, *values: object) -> None:
        if not isinstance(statement, str):
            await super().execute(statement, *values)
            return
        with self._watched():
            await self._connection.execute(statement, *values, timeout=self._timeout)

    @overload
    def cursor(
        self, statement: Statement[T], *values: object, prefetch: int = 500, most: int | None = None
    ) -> AsyncGenerator[T, None]: ...
    @overload
    def cursor(
        self, statement: str, *values: object, prefetch: int = 500, most: int | None = None
    ) -> AsyncGenerator[asyncpg.Record, None]: ...
    async def cursor(
        self, statement: Statement[Any] | str, *values: object, prefetch: int = 500, most: int | None = None
    ) -> AsyncGenerator[Any, None]:
        if isinstance(statement, str):
            with self._watched():
                async for record in self._connection.cursor(statement, *values, prefetch=prefetch):
                    yield record
            return
        async for row in super().cursor(statement, *values, prefetch=prefetch, most=most):
            yield row


class Database(database.Database):
    """A pool of such sessions."""

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        async with super().session() as session:
            session.__class__ = Session
            yield cast(Session, session)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with self.session() as session, session.transaction():
            yield session

    @overload
    async def fetch(self, statement: Statement[T], *values: object) -> list[T]: ...
    @overload
    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]: ...
    async def fetch(self, statement: Statement[Any] | str, *values: object) -> list[Any]:
        async with self.session() as session:
            return await session.fetch(statement, *values)

    @overload
    async def fetchrow(self, statement: Statement[T], *values: object) -> T | None: ...
    @overload
    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None: ...
    async def fetchrow(self, statement: Statement[Any] | str, *values: object) -> Any:
        async with self.session() as session:
            return await session.fetchrow(statement, *values)

    @overload
    async def fetchval(self, statement: Single[T], *values: object) -> T: ...
    @overload
    async def fetchval(self, statement: str, *values: object) -> Any: ...
    async def fetchval(self, statement: Single[Any] | str, *values: object) -> Any:
        async with self.session() as session:
            return await session.fetchval(statement, *values)

    async def execute(self, statement: Statement[object] | str, *values: object) -> None:
        async with self.session() as session:
            await session.execute(statement, *values)
