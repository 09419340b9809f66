"""Every statement fits the schema and its declaration: PostgreSQL prepares each against the migrated database."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Union, get_args, get_origin, get_type_hints

import asyncpg
import pytest

import sql
from proxy.model.stages import CollectionState, Stage
from sql.loader import queries
from sql.statement import Statement
from tests.harness import running
from tests.unit.sql.test_loader import TOPICS

_BLANK = re.compile(r"\{([a-z]+)\}")
_PLACE = re.compile(r"\$(\d+)")
# what asyncpg makes of PostgreSQL's types; json and jsonb come as text
_TYPES = {
    "bool": bool,
    "bytea": bytes,
    "float8": float,
    "int4": int,
    "int8": int,
    "json": str,
    "jsonb": str,
    "name": str,
    "text": str,
    "timestamptz": datetime,
    "text[]": list[str],
    "int8[]": list[int],
}


class Column(NamedTuple):
    """A column of a prepared statement: its name, and its type as PostgreSQL calls it."""

    name: str
    type: str


class Prepared(NamedTuple):
    """What PostgreSQL reports of a prepared statement."""

    columns: list[Column]
    parameters: int


def declared() -> Iterator[Statement[object]]:
    """Yield every declaration of sql/statements."""
    for topic in TOPICS:
        for value in vars(getattr(sql, topic)).values():
            if isinstance(value, Statement):
                yield value


def filled(text: str, relation: str) -> str:
    """Return the statement on a document table; other blanks hold what the code that owns them puts there."""
    blanks = {
        "relation": relation,
        "schema": "_crossfade",
        "generation": "1",
        "query": "SELECT 1",
        "definitions": relation,
        "order": "",
        "name": "made",
        "columns": "rev",
        "index": "absent",
        "entries": "entries",
        "lengths": "1",
        "statement": "ANALYZE",
        "users": "(SELECT 1 AS id)",
        "moment": "1.0::float8",
    }
    return _BLANK.sub(lambda found: blanks[found[1]], text)


def faults_of(statement: Statement[object], prepared: Prepared) -> list[str]:
    """Return how a declaration differs from what PostgreSQL reports; empty if it fits."""
    columns = [column for column in prepared.columns if column.type != "void"]
    faults = []
    places = {int(place) for place in _PLACE.findall(statement.text)}
    if places != set(range(1, prepared.parameters + 1)):
        faults.append(f"it names the parameters {sorted(places)}, and has {prepared.parameters}")
    row = statement.row
    if row is None:
        if columns:
            faults.append(f"it is declared as a command and gives {[column.name for column in columns]}")
        return faults
    if row is tuple:  # the columns are those of what fills a blank
        return faults
    if isinstance(row, type) and issubclass(row, tuple):
        fields = get_type_hints(row)
        if [column.name for column in columns] != list(fields):
            faults.append(f"it gives {[column.name for column in columns]}, and {row.__name__} has {list(fields)}")
            return faults
        pairs = list(zip(columns, fields.values(), strict=True))
    elif len(columns) != 1:
        return [*faults, f"it is declared as one value and gives {[column.name for column in columns]}"]
    else:
        pairs = [(columns[0], row)]
    for column, kind in pairs:
        if _required(kind) != _TYPES[column.type]:
            faults.append(f"{column.name} is {column.type}, and declared as {kind}")
    return faults


def _required(kind: object) -> object:
    """Return a type without its `| None`, and an array's type without that of its elements."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is list:
        (element,) = get_args(kind)
        return types.GenericAlias(list, (_required(element),))
    return kind


def test_every_statement_has_one_declaration(capsys: pytest.CaptureFixture[str]) -> None:
    every = sorted((topic, name) for topic in TOPICS for name in queries(topic))
    typed = [(statement.topic, statement.name) for statement in declared()]
    untyped = [pair for pair in every if pair not in typed]
    with capsys.disabled():
        print(f"\nstatements untyped: {len(untyped)} of {len(every)}")
    assert untyped == []
    assert sorted(typed) == every


async def test_postgresql_reports_what_is_declared(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), "_system/*", "_system/books")
        relation = await stack.database.fetchval(
            "SELECT relation FROM _crossfade.collection WHERE collection = '_system/books'"
        )
    connection = await asyncpg.connect(dsn)
    wrong = []
    try:
        await connection.execute("CREATE TABLE entries (value text PRIMARY KEY, key text)")  # of a unique index
        for statement in declared():
            try:
                found = await connection.prepare(filled(statement.text, relation))
            except asyncpg.PostgresError as error:
                wrong.append(f"{statement.topic}.{statement.name}: {error}")
                continue
            columns = [Column(each.name, each.type.name) for each in found.get_attributes()]
            faults = faults_of(statement, Prepared(columns, len(found.get_parameters())))
            wrong += [f"{statement.topic}.{statement.name}: {fault}" for fault in faults]
    finally:
        await connection.close()
    assert wrong == []


class _Swapped(NamedTuple):
    stage: str
    collection: str
    weight: int


class _WrongType(NamedTuple):
    collection: str
    stage: str
    weight: str


class _Short(NamedTuple):
    collection: str
    stage: str


class _Right(NamedTuple):
    collection: str
    stage: str
    weight: int | None


_COLLECTION_STAGES = Prepared([Column("collection", "text"), Column("stage", "text"), Column("weight", "int4")], 0)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (Statement("control", "collection_stages", _Swapped), "it gives"),
        (Statement("control", "collection_stages", _Short), "it gives"),
        (Statement("control", "collection_stages", _WrongType), "weight is int4"),
        (Statement("control", "collection_stages", str), "it is declared as one value"),
        (Statement("control", "collection_stages"), "it is declared as a command"),
        (Statement("control", "behind", _Right), "it names the parameters [1], and has 0"),
    ],
)
def test_a_wrong_declaration_is_found(statement: Statement[object], fault: str) -> None:
    (found,) = faults_of(statement, _COLLECTION_STAGES)
    assert found.startswith(fault)


def test_unpacked_rows_have_the_types_of_their_fields() -> None:
    found = 0
    for topic in TOPICS:
        module = getattr(sql, topic)
        for name, hint in get_type_hints(module).items():
            fields = get_type_hints(getattr(module, name).row)
            assert get_args(get_args(hint)[0]) == tuple(fields.values()), name
            found += 1
    assert found


def test_a_right_declaration_is_accepted() -> None:
    assert faults_of(Statement("control", "collection_stages", _Right), _COLLECTION_STAGES) == []
