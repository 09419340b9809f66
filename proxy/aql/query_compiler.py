"""A whole query compiled: levels of statements to stages, subqueries and fetching functions to stepwise expressions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from proxy.aql import ast
from proxy.aql.compiled_types import Compiled, Frame, Plain, Stepwise, evaluate
from proxy.aql.pipeline import Flow, Row, Stage, distinct
from proxy.aql.query_context import Context
from proxy.aql.requests import Request
from proxy.aql.traverse import TraverseCompiler
from proxy.aql.values import Value
from proxy.base.errors import ArangoError, Unsupported

_FOREIGN = frozenset({1203})  # a collection that is not there: DOCUMENT gives null


class ProgramCompiler(TraverseCompiler):
    """Compiles queries at any level."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.base = [[]]
        self.known: set[str] = set()

    def other_stage(self, statement: ast.Statement, bound: set[str]) -> Stage:
        if isinstance(statement, ast.Collect):
            stage = self.collect_stage(statement)
            bound.update(assign.name for assign in (*statement.groups, *statement.aggregates))
            bound.update(name for name in (statement.into, statement.count_into) if name is not None)
            return stage
        if isinstance(statement, ast.Window):
            bound.update(assign.name for assign in statement.aggregates)
            return self.window_stage(statement)
        if isinstance(statement, ast.Traversal):
            bound.update(statement.variables)
            return self.traversal_stage(statement)
        if isinstance(statement, ast.Paths):
            bound.update(statement.variables)
            return self.paths_stage(statement)
        assert isinstance(statement, (ast.Insert, ast.Change, ast.Remove, ast.Upsert))
        return self.modification_stage(statement)

    def stage(self, statement: ast.Statement, following: tuple[ast.Statement, ...], bound: set[str]) -> Stage:
        before, self.known = self.known, bound  # what subqueries in this statement can see
        built = super().stage(statement, following, bound)
        self.known = before
        return built

    def level(self, query: ast.Query, known: set[str]) -> Callable[[Frame], Flow]:
        """The function of one level: frame -> Rows and requests."""
        outer, self.base = self.base, [[]]
        base = self.base
        around, self.tie, self.nested = (self.tie, self.nested), None, True
        bound = set(known)
        stages: list[Stage] = []
        final = query.statements[-1]
        for index, statement in enumerate(query.statements):
            if not isinstance(statement, ast.Return):
                stages.append(self.ordered_stage(query.statements, index, bound))
        rows = self.rows(final, bound)
        self.base = outer
        self.tie, self.nested = around

        def run(frame: Frame) -> Flow:
            base[0] = frame
            flow: Flow = iter((frame,))
            for stage in stages:
                flow = stage(flow)
            return rows(flow)

        return run

    def rows(self, final: ast.Statement, bound: set[str]) -> Stage:
        """The last statement: frames -> Rows. A modification gives none."""
        if not isinstance(final, ast.Return):
            return _drain
        before, self.known = self.known, bound
        value = self.expression(final.value)
        self.known = before
        project = return_stage(value)
        return (lambda flow: distinct(project(flow))) if final.distinct else project

    def subquery(self, node: ast.Subquery) -> Compiled:
        run = self.level(node.query, self.known)
        context = self.context
        asks = _asks(node)

        def steps(frame: Frame) -> Generator[Request, None, Value]:
            values: list[Value] = []
            for row in run(frame[:]):
                if row.__class__ is Row:
                    values.append(row.value)
                else:
                    yield row
            context.hold(len(values))
            return values

        if asks:
            return Stepwise(steps)

        def plain(frame: Frame) -> Value:
            values = [row.value for row in run(frame[:])]
            context.hold(len(values))
            return values

        return plain

    # --- functions that read documents

    def fetching(self, name: str, arguments: list[Plain]) -> Callable[[Frame], Generator[Request, None, Value]]:
        context = self.context
        if name == "COLLECTION_COUNT":
            collection = arguments[0]

            def count(frame: Frame) -> Generator[Request, None, Value]:
                return (yield from context.count(str(collection(frame))))

            return count
        if name == "SHARD_ID":

            def shard(frame: Frame) -> Generator[Request, None, Value]:
                collection, keys = arguments[0](frame), arguments[1](frame)
                if collection.__class__ is not str or keys.__class__ is not dict:
                    which, kind = ("second", "an object") if collection.__class__ is str else ("first", "a string")
                    raise ArangoError(10, f"AQL: {which} parameter to SHARD_ID must be {kind} (while executing)")
                yield from context.count(str(collection))  # which must be there
                return collection

            return shard
        if name != "DOCUMENT":
            raise Unsupported(f"function {name}")

        def document(frame: Frame) -> Generator[Request, None, Value]:
            collection = arguments[0](frame) if len(arguments) == 2 else None
            wanted = arguments[-1](frame)
            if len(arguments) == 2 and collection.__class__ is not str:
                context.invalid("DOCUMENT")
                return None
            if wanted.__class__ is list:
                found = []
                for one in wanted:
                    value = yield from self.document(collection, one)
                    if value is not None:
                        found.append(value)
                return found
            return (yield from self.document(collection, wanted))

        return document

    def document(self, collection: Value, wanted: Value) -> Generator[Request, None, Value]:
        """One document by key or id; null where there is none, or no such collection."""
        if wanted.__class__ is not str or (collection is not None and collection.__class__ is not str):
            return None
        name, slash, key = str(wanted).partition("/")
        if not slash:
            name, key = str(collection or ""), wanted
        elif collection is not None and name != collection:
            return None
        if not name or not key:
            return None
        try:
            return (yield from self.context.document(name, key))
        except ArangoError as error:
            if error.number not in _FOREIGN:
                raise
            return None


def _asks(node: ast.Subquery) -> bool:
    """Whether a subquery may ask the store."""
    return any(
        isinstance(below, (ast.Collection, ast.Traversal, ast.Paths, ast.Insert, ast.Change, ast.Remove, ast.Upsert))
        or (isinstance(below, ast.Parameter) and below.source)
        or (isinstance(below, ast.Call) and below.name in ("DOCUMENT", "COLLECTION_COUNT", "SHARD_ID"))
        for below in ast.walk(node)
    )


def return_stage(value: Compiled) -> Stage:
    """RETURN: a Row a frame."""

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is list:
                yield Row((yield from evaluate(value, frame)), frame)
            else:
                yield frame

    def quick(flow: Flow) -> Flow:
        plain: Any = value
        for frame in flow:
            yield Row(plain(frame), frame) if frame.__class__ is list else frame

    return run if isinstance(value, Stepwise) else quick


def _drain(flow: Flow) -> Flow:
    for frame in flow:
        if frame.__class__ is not list:
            yield frame
