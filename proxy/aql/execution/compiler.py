"""The compilation of one query to Python closures: its shared state, and registries by node type.

A frame is a list of slots, one for each variable name of the query (names in scope are distinct, so a slot can serve
several scopes one after the other). An expression compiles to a plain function of the frame or, if it has to ask the
store, to a `Stepwise`, whose generator yields requests. A strict node with stepwise operands evaluates these into slots
first and then runs as a plain function; only lazy nodes are written twice. A statement compiles to a stage: a function
from the iterator of frames before it to the iterator of frames after it.

The other modules of this package are plain functions whose first argument `c` is the `ProgramCompiler`. Those that
compile a type of node are registered with `expression_of` and `stage_of`, and called through `c.expression`,
`c.operand` and `c.stage`. All dispatch happens once a query, never per row.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from proxy.aql import ast
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise
from proxy.aql.query_context import QueryContext
from proxy.aql.registration import registering
from proxy.aql.requests import StoreRequest
from proxy.aql.values import Value

Flow: TypeAlias = Iterator[Any]  # of frames and Requests
Stage: TypeAlias = Callable[[Flow], Flow]


@dataclass(frozen=True, slots=True)
class StatementPlace:
    """The place of a statement: the statements of its level, and its index among them."""

    statements: tuple[ast.Statement, ...]
    index: int

    @property
    def following(self) -> tuple[ast.Statement, ...]:
        """The statements after it."""
        return self.statements[self.index + 1 :]


ExpressionCompiler: TypeAlias = Callable[["ProgramCompiler", Any], Compiled]
StageCompiler: TypeAlias = Callable[["ProgramCompiler", Any, StatementPlace], Stage]
_EXPRESSIONS: Final[dict[type, ExpressionCompiler]] = {}
_STAGES: Final[dict[type, StageCompiler]] = {}
_Expression = TypeVar("_Expression", bound=ExpressionCompiler)
_Stage = TypeVar("_Stage", bound=StageCompiler)


class ProgramCompiler:
    """One query, or one expression, on its way to closures.

    constants: variables that LET binds to a constant, until their names are bound again. size: the number of slots.
    currents: slots of CURRENT, innermost last. base: a box for the frame that the present level began with. known: the
    variables bound so far, which subqueries can see. tie: the slot with the run of equal sort keys that a frame belongs
    to and its position, for a LIMIT to come; None if ties are not looked for. visible: whether the order of the rows
    that this LIMIT lets through shows, or only which rows these are. nested: whether the present level is that of a
    subquery, whose rows become an array.
    """

    def __init__(self, context: QueryContext) -> None:
        self.context = context
        self.constants: dict[str, Constant] = {}
        self.size = 0
        self.currents: list[int] = []
        self.base: list[Frame] = [[]]
        self.known: set[str] = set()
        self.tie: int | None = None
        self.visible = False
        self.nested = False
        self._slots: dict[str, int] = {}
        self._pending: list[tuple[int, Stepwise]] = []

    # --- slots

    def slot(self, name: str) -> int:
        """Return the slot of a variable that is about to be bound."""
        self.constants.pop(name, None)
        found = self._slots.get(name)
        if found is None:
            found = self._slots[name] = self.temporary()
        return found

    def temporary(self) -> int:
        """Return a slot without a name."""
        self.size += 1
        return self.size - 1

    def slots_of(self, names: Iterable[str]) -> list[int]:
        """Return the slots of variables that are bound."""
        return [self._slots[name] for name in names if name in self._slots]

    def slots_except(self, names: Container[str]) -> list[int]:
        """Return the slots of all variables so far but these."""
        return [slot for name, slot in self._slots.items() if name not in names]

    # --- dispatch by node type

    def expression(self, node: ast.Expr) -> Compiled:
        """Compile an expression to a plain function if possible, else to a stepwise one."""
        outer, self._pending = self._pending, []
        compiled = _EXPRESSIONS[node.__class__](self, node)
        pending, self._pending = self._pending, outer
        if not pending:
            return compiled
        assert not isinstance(compiled, Stepwise)
        return Stepwise(_after(pending, compiled))

    def operand(self, node: ast.Expr) -> Plain:
        """Compile an operand of a strict node: a stepwise one is evaluated beforehand, into a slot."""
        compiled = self.expression(node)
        if isinstance(compiled, Stepwise):
            slot = self.temporary()
            self._pending.append((slot, compiled))
            return itemgetter(slot)
        return compiled

    def stage(self, place: StatementPlace) -> Stage:
        """Compile a statement that is not the last of its level; the variables that it binds are known afterwards."""
        statement = place.statements[place.index]
        return _STAGES[statement.__class__](self, statement, place)


def expression_of(*types: type[ast.Node]) -> Callable[[_Expression], _Expression]:
    """Register the function that compiles expressions of these types."""
    return registering(_EXPRESSIONS, types)


def stage_of(*types: type[ast.Node]) -> Callable[[_Stage], _Stage]:
    """Register the function that compiles statements of these types."""
    return registering(_STAGES, types)


def _after(
    pending: list[tuple[int, Stepwise]], compiled: Plain
) -> Callable[[Frame], Generator[StoreRequest, None, Value]]:
    def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
        for slot, part in pending:
            frame[slot] = yield from part.steps(frame)
        return compiled(frame)

    return steps
