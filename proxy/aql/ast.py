"""The tree of a query: frozen nodes. `at` is the character offset of the node's first token; it does not count in ==.

Names are resolved while parsing, as ArangoDB does: an identifier is a `Variable` where one is in scope, else a
`Collection`. Lists are tuples, so that a tree is a value: two texts of one query have equal trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.aql import nodes

Node = nodes.Node
Literal = nodes.Literal
Parameter = nodes.Parameter
Variable = nodes.Variable
Collection = nodes.CollectionName
children, walk = nodes.children, nodes.walk


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """base.name"""

    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class BoundAttribute(Node):
    """base.@parameter: one attribute name, or an array of names as a path."""

    base: Expr
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Index(Node):
    """base[index]"""

    base: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Expansion(Node):
    """base[* FILTER … LIMIT … RETURN …] and what follows it.

    levels: the number of stars. `each` is what is taken of each element: CURRENT itself, or accesses on it that were
    written after the brackets. `result` is the RETURN inside them.
    """

    base: Expr
    levels: int
    condition: Expr | None
    offset: Expr | None
    count: Expr | None
    result: Expr | None
    each: Expr


@dataclass(frozen=True, slots=True)
class ArrayTest(Node):
    """base[? quantifier FILTER condition]: a boolean. quantifier: ANY, ALL, NONE, AT LEAST, or "" with an amount."""

    base: Expr
    levels: int
    quantifier: str | None
    amount: Expr | None
    condition: Expr | None


@dataclass(frozen=True, slots=True)
class Passthru(Node):
    """Parentheses round an expansion: what follows applies to the whole array."""

    inner: Expr


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """NOT, - or + before an operand."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, comparison, IN, NOT IN, LIKE, NOT LIKE, =~ and !~."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """AND or OR over two or more operands: chains are flat."""

    op: str
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    """left ALL|ANY|NONE|AT LEAST (amount) op right"""

    quantifier: str
    amount: Expr | None
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Range(Node):
    """low..high"""

    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """condition ? then : otherwise; without `then` it is `?:`."""

    condition: Expr
    then: Expr | None
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function call; the name in upper case. at: its offset in the text."""

    name: str
    arguments: tuple[Expr, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Array(Node):
    """[a, b, …]"""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Item(Node):
    """One attribute of an object literal: a fixed name, or a computed one."""

    name: str | None
    computed: Expr | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Object(Node):
    """{a: 1, [b]: 2, @c: 3, d}"""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """A query as a value: an array of its rows."""

    query: Query


@dataclass(frozen=True, slots=True)
class ArrayPattern(Node):
    """[a, , b] on the left of `=`: None skips an element."""

    targets: tuple[Pattern | None, ...]


@dataclass(frozen=True, slots=True)
class ObjectPattern(Node):
    """{a, b: c} on the left of `=`: pairs of attribute and target."""

    attributes: tuple[str, ...]
    targets: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class For(Node):
    """FOR variable IN source [SEARCH …] [OPTIONS …]"""

    variable: Pattern
    source: Expr
    search: Expr | None = None
    options: Object | None = None


@dataclass(frozen=True, slots=True)
class Edges(Node):
    """One edge collection of a traversal; direction: None if it is that of the traversal."""

    direction: str | None
    collection: Collection | Parameter


@dataclass(frozen=True, slots=True)
class Traversal(Node):
    """FOR v, e, p IN steps direction start edges|GRAPH name [PRUNE …] [OPTIONS …]"""

    variables: tuple[str, ...]
    direction: str
    steps: Expr | None
    start: Expr
    edges: tuple[Edges, ...]
    graph: Expr | None
    prune_variable: str | None = None
    prune: Expr | None = None
    options: Object | None = None


@dataclass(frozen=True, slots=True)
class Paths(Node):
    """FOR v, e IN direction SHORTEST_PATH start TO target …, and its three relatives; kind is the keyword."""

    kind: str
    variables: tuple[str, ...]
    direction: str
    steps: Expr | None
    start: Expr
    target: Expr
    edges: tuple[Edges, ...]
    graph: Expr | None
    options: Object | None = None


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """FILTER condition"""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Let(Node):
    """LET target = value"""

    target: Pattern
    value: Expr


@dataclass(frozen=True, slots=True)
class SortKey(Node):
    """One expression of SORT; direction is "ASC", "DESC" or an expression."""

    value: Expr
    direction: str | Expr


@dataclass(frozen=True, slots=True)
class Sort(Node):
    """SORT keys"""

    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Limit(Node):
    """LIMIT [offset,] count"""

    offset: Expr | None
    count: Expr


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """name = value, in COLLECT and AGGREGATE."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Collect(Node):
    """COLLECT in all its forms. keep: None without KEEP. ends: the variables that end here, which INTO would gather."""

    groups: tuple[Assign, ...]
    aggregates: tuple[Assign, ...]
    into: str | None
    into_value: Expr | None
    keep: tuple[str, ...] | None
    count_into: str | None
    options: Object | None
    ends: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Window(Node):
    """WINDOW [value WITH] bounds AGGREGATE …"""

    value: Expr | None
    bounds: Object
    aggregates: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class Return(Node):
    """RETURN [DISTINCT] value"""

    value: Expr
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Insert(Node):
    """INSERT document INTO collection"""

    document: Expr
    collection: Collection | Parameter
    options: Object | None


@dataclass(frozen=True, slots=True)
class UpdateOrReplace(Node):
    """UPDATE or REPLACE [key WITH] document IN collection; kind is the keyword."""

    kind: str
    key: Expr | None
    document: Expr
    collection: Collection | Parameter
    options: Object | None


@dataclass(frozen=True, slots=True)
class Remove(Node):
    """REMOVE key IN collection"""

    key: Expr
    collection: Collection | Parameter
    options: Object | None


@dataclass(frozen=True, slots=True)
class Upsert(Node):
    """UPSERT search|FILTER condition INSERT document UPDATE|REPLACE change IN collection"""

    search: Expr | None
    condition: Expr | None
    insert: Expr
    kind: str
    change: Expr
    collection: Collection | Parameter
    options: Object | None


@dataclass(frozen=True, slots=True)
class Query(Node):
    """WITH collections, then statements; the last one is a RETURN or a modification."""

    with_collections: tuple[Collection | Parameter, ...]
    statements: tuple[Statement, ...]
    text: str = field(default="", compare=False, repr=False)  # of a whole query; a subquery has none
    memo: dict[str, object] = field(
        default_factory=dict, compare=False, repr=False
    )  # results that depend on the tree only
    warnings: tuple[tuple[int, str], ...] = field(default=(), compare=False, repr=False)  # codes and messages


Expr: TypeAlias = (
    Literal | Parameter | Variable | Collection | Attribute | BoundAttribute | Index | Expansion | ArrayTest
    | Passthru | Unary | Binary | Logical | Quantified | Range | Ternary | Call | Array | Object | Subquery
)  # fmt: skip
Pattern: TypeAlias = str | ArrayPattern | ObjectPattern
Modification: TypeAlias = Insert | UpdateOrReplace | Remove | Upsert
Statement: TypeAlias = For | Traversal | Paths | Filter | Let | Sort | Limit | Collect | Window | Return | Modification
