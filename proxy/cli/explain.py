"""explain: how Crossfade runs an AQL query, and PostgreSQL's plan for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

import sql
from proxy.aql import Analysis, Fetch, Query, QueryOptions, analyse, ast, parse, run
from proxy.aql.compile import Compiled, CompiledTable, Listing, NotCompiled
from proxy.aql.compile.writes import BatchedWrite, CompiledWrite, batched_write
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.cli.naming import alternatives, known
from proxy.cli.runtime import DONE, DatabaseOption, JsonOption, console, execute, write_json
from proxy.operator.index_building import drop_invalid, make
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import Statements
from proxy.stores.postgres.modifications import NotExactError, shown
from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.scan_choice import scan_of
from proxy.stores.postgres.writes.properties import parse_properties

_SYSTEM = "_system"  # a query that reads nothing needs no database
_NO_VALUE = 1551  # of a bind variable
_NAMED_BIND = re.compile(r"(@?\w+)=")
_ADVICE = (
    """give each by --bind NAME=JSON, such as --bind 'docs=[{"n": 1}]'; a collection's name by --bind @NAME=NAME"""
)
_STATEMENTS: tuple[tuple[type, str], ...] = (
    (ast.For, "FOR"), (ast.Filter, "FILTER"), (ast.Sort, "SORT"), (ast.Limit, "LIMIT"), (ast.Collect, "COLLECT"),
    (ast.Traversal, "traversal"), (ast.Paths, "path search"), (ast.Subquery, "subquery"), (ast.Insert, "INSERT"),
    (ast.UpdateOrReplace, "UPDATE or REPLACE"), (ast.Remove, "REMOVE"), (ast.Upsert, "UPSERT"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IndexSuggestion:
    """An index that would help: the statement that creates it, and why."""

    statement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one query. choices: why the data alone do not determine its rows; empty if they do.

    compiled: one SQL statement answers it; reason: why not. batched: it is evaluated, and the documents that it changes
    are read and written together. sql, parameters: the statement, or the first scan of the evaluator. pushed, kept:
    what PostgreSQL does, and what is done outside. plan: PostgreSQL's, line by line.
    """

    shape: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    choices: tuple[str, ...]
    unordered: bool
    unsupported: tuple[str, ...]
    compiled: bool
    reason: str
    batched: bool
    sql: str
    parameters: tuple[Any, ...]
    pushed: tuple[str, ...]
    kept: tuple[str, ...]
    plan: tuple[str, ...]
    indexes: tuple[IndexSuggestion, ...]
    created: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    query: Annotated[str, typer.Argument(metavar="AQL", help="the text of the query")],
    *,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            "--bind",
            metavar="NAME=JSON",
            help="the value of one bind variable, repeatable; or all of them as one JSON object",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--analyze", help="also run the statement and show how long it takes")
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="create the missing indexes without blocking writes")
    ] = False,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """Show how an AQL query is run: shape, collections, determinism, SQL, PostgreSQL's plan, missing indexes.

    A query that does not compile to one statement is evaluated over the documents of narrowed scans; then the reason
    and the first scan are shown. Only --create changes anything; a modification is explained and never run. With an
    index for filter and order PostgreSQL reads only the first rows of a list: create it after the backfill.

    Examples:
      crossfade explain 'FOR o IN orders SORT o.at RETURN o' --database shop
      crossfade explain 'FOR o IN @@c RETURN o.at' --bind @c=orders
      crossfade explain 'RETURN @u' --bind '{"u": "7"}' --analyze
    """

    async def go(settings: Settings, connected: Database) -> int:
        binds = binds_of(bind or ())
        if database not in (await known(connected)).databases | {_SYSTEM}:
            raise PreconditionFailed(
                f"{database} is not known: {alternatives(f'{database}/*', await known(connected))}"
            )
        try:
            found = await examine(connected, database, query, binds, measure=measure)
        except ArangoError as error:
            raise PreconditionFailed(_refusal(error)) from error
        if create and found.indexes:
            for advice in found.indexes:
                relation = (await Catalog(connected).find(f"{database}/{advice.reason.partition(':')[0]}")).relation
                await drop_invalid(connected, relation)
                await make(connected, relation, advice.statement)
            made = tuple(advice.statement for advice in found.indexes)
            found = replace(await examine(connected, database, query, binds, measure=measure), created=made)
        write_json(asdict(found)) if as_json else _show(found, mirrored=settings.mode != "complete")
        return DONE

    execute(go, as_json=as_json, timeout=None if create or measure else 30.0)


def binds_of(options: Sequence[str]) -> dict[str, Any]:
    """Return the bind variables of the options: `name=json`, `@name=collection`, or one JSON object of several.

    Raise PreconditionFailed if one is neither.
    """
    binds: dict[str, Any] = {}
    for option in options:
        named = _NAMED_BIND.match(option)
        if named is not None and named[1].startswith("@"):
            binds[named[1]] = option[named.end() :].strip('"')
            continue
        try:
            value = orjson.loads(option[named.end() :] if named is not None else option)
        except orjson.JSONDecodeError as error:
            raise PreconditionFailed(
                f"--bind {option} is not NAME=JSON (a string in double quotes), nor a JSON object: {error}"
            ) from error
        if named is not None:
            binds[named[1]] = value
        elif isinstance(value, dict):
            binds.update(value)
        else:
            raise PreconditionFailed("--bind must be NAME=JSON, or a JSON object of names and values")
    return binds


def _refusal(error: ArangoError) -> str:
    advice = f": {_ADVICE}" if error.number == _NO_VALUE else ""
    return f"the query is refused: {error.message} (errorNum {error.number}){advice}"


async def examine(
    connected: Database, database: str, text: str, binds: Mapping[str, Any], *, measure: bool = False
) -> Explanation:
    """Return the explanation. Raise ArangoError for errors of the query (1203: unknown collection), DatabaseError."""
    query = parse(text)
    analysis = analyse(query, binds)
    statements = Statements(connected, Catalog(connected), QueryLimits())
    tables = (await statements.tables(database, analysis)).tables
    made = await _outcome(connected, statements, database, query, analysis, binds)
    batched = isinstance(made, BatchedWrite)
    if not isinstance(made, BatchedWrite | NotCompiled):
        text, parameters, reason = made.sql, made.parameters, ""
        if isinstance(made, CompiledWrite):
            parameters = (*parameters, f"{database}/{made.collection}")
        pushed, kept = made.pushed, made.finished
    else:
        text, parameters = _scan(query, analysis, binds, tables)
        reason = made.reason if isinstance(made, BatchedWrite) else f"{made.reason} {made.detail}".strip()
        pushed, kept = ("the scan of the first collection",) if text else (), _written(query)
    plan: tuple[str, ...] = ()
    indexes: tuple[IndexSuggestion, ...] = ()
    if text:
        explained = sql.explain.MEASURED_PLAN if measure and not analysis.modifies else sql.explain.PLAN
        plan = tuple(await connected.fetch(explained.fill(query=text), *parameters))
        tree_of = sql.explain.PLAN_TREE.fill(query=text)
        tree = orjson.loads(await connected.fetchval(tree_of, *parameters))[0]["Plan"]
        listings = made.listings if isinstance(made, Compiled) else ()
        indexes = tuple([advice async for advice in _missing(connected, database, tables, listings, text, tree)])
    return Explanation(
        analysis.shape,
        tuple(sorted(analysis.reads)),
        tuple(sorted(analysis.writes)),
        analysis.choices,
        analysis.unordered,
        analysis.unsupported,
        not isinstance(made, BatchedWrite | NotCompiled),
        reason,
        batched,
        text,
        parameters,
        pushed,
        kept,
        plan,
        indexes,
    )


async def _outcome(
    connected: Database,
    statements: Statements,
    database: str,
    query: Query,
    analysis: Analysis,
    binds: Mapping[str, Any],
) -> Compiled | CompiledWrite | BatchedWrite | NotCompiled:
    """Return how the proxy runs it, by the proxy's own function."""
    if analysis.unsupported:
        return NotCompiled("not supported:", ", ".join(analysis.unsupported))
    if analysis.modifies:
        plan = await statements.write_plan(database, query, dict(binds), analysis)
        if not isinstance(plan, CompiledWrite) or plan.given is None:
            return plan
        text = await connected.fetchrow(sql.writes.PROPERTIES, f"{database}/{plan.collection}")
        try:
            return await shown(plan, binds, parse_properties(text or "{}"))
        except NotExactError as reason:
            return batched_write(query, binds, f"{reason}") or NotCompiled(f"{reason}")
    return await statements.plan(database, query, dict(binds), analysis)


def _written(query: Query) -> tuple[str, ...]:
    """Return the statements of the query in the order in which they are written, each once."""
    found: dict[str, None] = {}
    for node in ast.walk(query):
        for kind, name in _STATEMENTS:
            if isinstance(node, kind):
                found[name] = None
    return tuple(found)


def _scan(
    query: Query, analysis: Analysis, binds: Mapping[str, Any], tables: Mapping[str, CompiledTable]
) -> tuple[str, tuple[Any, ...]]:
    """Return the first scan of an evaluated query; empty if it reads nothing or changes something."""
    if analysis.modifies or analysis.unsupported:
        return "", ()
    running = run(query, binds, QueryOptions())
    try:
        first = next(running)
    except (StopIteration, ArangoError):
        return "", ()
    finally:
        running.close()
    if not isinstance(first, Fetch) or first.collection not in tables or first.count:
        return "", ()
    scan = scan_of(first.collection, first.equalities, first.keys, first.among)
    text = scan.statement.on(tables[first.collection].relation).text
    return text, (1 << 40, None) if scan.value is None else (1 << 40, None, scan.value)


# ---- indexes


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


async def _missing(
    connected: Database,
    database: str,
    tables: Mapping[str, CompiledTable],
    listings: tuple[Listing, ...],
    query: str,
    plan: Mapping[str, Any],
) -> Any:
    """Yield indexes with which the plan does not sort all rows that pass the filters, or scan every document."""
    relations = {table.relation.rpartition(".")[2].strip('"'): name for name, table in tables.items()}
    nodes = list(_nodes(plan))
    advised = set()
    if any(node["Node Type"] in ("Sort", "Incremental Sort") for node in nodes):
        for listing in listings:
            relation = tables[listing.collection].relation
            name = own_indexes.name_of(relation, ", ".join(listing.columns))
            valid = await connected.fetchrow(sql.indexes.IS_VALID, relation, name)
            if valid is False:
                yield IndexSuggestion(
                    own_indexes.drop(relation, name).without_description,
                    f"{listing.collection}: its creation was interrupted",
                )
            if not valid:
                advised.add(listing.collection)
                yield IndexSuggestion(
                    own_indexes.create(relation, listing.columns).without_description,
                    f"{listing.collection}: the first rows would be read in the order of SORT, and no other rows",
                )
    for node in nodes:
        if node["Node Type"] != "Seq Scan" or node.get("Relation Name") not in relations:
            continue
        name = relations[node["Relation Name"]]
        condition = str(node.get("Filter", ""))
        if name in advised or ("@>" not in condition and f"{node.get('Alias')}.doc @>" not in query):
            continue
        if not await connected.fetchval(sql.indexes.HAS_CONTAINMENT, tables[name].relation):
            statement = await connected.fetchval(sql.indexes.CONTAINMENT_STATEMENT, f"{database}/{name}")
            yield IndexSuggestion(statement, f"{name}: the equality filters would be looked up")


# ---- output


def _show(found: Explanation, *, mirrored: bool) -> None:
    """Print the explanation. mirrored: the proxy has an ArangoDB, which carries out modifications."""
    out = console()

    def line(name: str, value: str) -> None:
        out.print(f"[bold]{name:13}[/bold] {escape(value)}", soft_wrap=True)

    line("shape", found.shape)
    line("reads", ", ".join(found.reads) or "nothing")
    if found.writes:
        line("writes", ", ".join(found.writes))
        if mirrored:
            line("", "runs on ArangoDB and is mirrored; over PostgreSQL alone it runs as follows")
    line("determined", "by the data" if not found.choices else "not by the data alone: " + "; ".join(found.choices))
    if found.unordered:
        line("", "arrays inside rows come in the order of a scan, and compare without it")
    line("compiled", "to one statement" if found.compiled else f"no: {found.reason}")
    if found.batched:
        line("batched", "documents are read together by their keys or attributes, and written together")
    line("in SQL", ", ".join(found.pushed) or "nothing")
    line("outside", ", ".join(found.kept) or "nothing")
    if found.sql:
        line("SQL", found.sql)
        line("parameters", ", ".join(f"${n} = {value!r}" for n, value in enumerate(found.parameters, 1)) or "none")
        for number, text in enumerate(found.plan):
            line("plan" if not number else "", text)
    for advice in found.indexes:
        line("index", f"{advice.statement}; -- {advice.reason}")
    for statement in found.created:
        line("created", statement)
    if found.plan and not found.indexes:
        line("index", "none is missing")
