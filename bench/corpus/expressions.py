"""What the expressions of a query imply about the documents and bind variables that they use."""

from __future__ import annotations

from typing import Any

from bench.corpus.holes import Hole
from proxy.aql import QueryOptions, ast, run
from proxy.base.errors import ArangoError

_NUMERIC = frozenset({"ABS", "CEIL", "FLOOR", "ROUND", "SQRT", "POW", "LOG", "LOG2", "LOG10", "EXP", "EXP2", "SUM",
                      "AVG", "AVERAGE", "MEDIAN", "PERCENTILE", "STDDEV", "VARIANCE", "PRODUCT", "TO_NUMBER", "RAND",
                      "COUNT_DISTINCT", "LEVENSHTEIN_DISTANCE", "DATE_TIMESTAMP", "DATE_NOW", "DATE_DIFF", "DATE_YEAR",
                      "DATE_MONTH", "DATE_DAY"})  # fmt: skip
_SAME_TYPE = frozenset({"LOWER", "UPPER", "TRIM", "LTRIM", "RTRIM", "TO_STRING", "TO_NUMBER", "NOOPT", "NOEVAL",
                        "PASSTHRU", "TO_BOOL", "DATE_TIMESTAMP", "DATE_ISO8601", "ABS", "ROUND", "FLOOR",
                        "CEIL"})  # fmt: skip
_ARRAYS = frozenset({"UNIQUE", "SORTED", "SORTED_UNIQUE", "REVERSE", "SLICE", "FLATTEN", "TO_ARRAY", "MINUS", "UNION",
                     "UNION_DISTINCT", "INTERSECTION", "APPEND", "PUSH", "UNSHIFT", "POP", "SHIFT", "REMOVE_VALUE",
                     "REMOVE_VALUES", "REMOVE_NTH", "OUTERSECTION", "INTERLEAVE"})  # fmt: skip
NOT_CONSTANT = object()


class Expressions:
    """What is known of one query so far.

    `documents`: holes of documents by collection, one for each place that reads the collection.
    """

    def __init__(self, bind_names: list[str]) -> None:
        self.documents: dict[str, list[Hole]] = {}
        self.parameters = {name: Hole() for name in bind_names}
        self.names: dict[str, str] = {}  # of collections that bind variables give
        self.fixed: dict[str, Any] = {}  # bind variables whose value is not free
        self.identities: list[Hole] = []
        self.loose: list[Hole] = []  # documents of which only an id is known
        for name in bind_names:
            if name.startswith("@"):
                self.fixed[name] = self.names[name] = "c_" + name[1:].strip("_").lower()

    def level(self, query: ast.Query, outer: dict[str, Hole]) -> Hole:
        """Visit one query or subquery; return the hole of one of its rows."""
        raise NotImplementedError

    def require(self, node: ast.Expr, scope: dict[str, Hole], *, wanted: bool) -> None:
        """Require the condition to be true, or false if not `wanted`."""
        raise NotImplementedError

    # --- collections

    def collection(self, node: ast.Expr) -> str:
        """Return the collection's name; a bind variable in its place gets one."""
        if isinstance(node, ast.Parameter):
            if node.name not in self.names:
                self.fixed[node.name] = self.names[node.name] = "c_" + node.name.strip("@_").lower()
            return self.names[node.name]
        assert isinstance(node, ast.Collection)
        return node.name

    def document(self, collection: str) -> Hole:
        """Add a document that the collection must have."""
        hole = Hole("object", "document")
        key = hole.child("_key")
        key.key_of = collection
        identity = hole.child("_id")
        identity.prefix, identity.tail = collection, key
        self.documents.setdefault(collection, []).append(hole)
        return hole

    def identity(self, hole: Hole) -> Hole:
        """Return the id of a start vertex, which is a document or an id."""
        root = hole.root()
        found = root.children["_id"].root() if "_id" in root.children else root
        found.kinds.add("id")
        self.identities.append(found)
        return found

    # --- values

    def value(self, node: ast.Expr, scope: dict[str, Hole]) -> Hole:
        """Return the hole of an expression's value, and record what the expression implies about other holes."""
        if isinstance(node, ast.Variable):
            return scope.setdefault(node.name, Hole()).root()
        if isinstance(node, ast.Parameter):
            return self.parameters.setdefault(node.name, Hole()).root()
        if isinstance(node, ast.Attribute):
            hole = self.value(node.base, scope).child(node.name)
            if node.name in ("_from", "_to"):
                hole.used_as("id")
            return hole
        if isinstance(node, ast.BoundAttribute):
            return self.named(self.value(node.base, scope), node.parameter)
        if isinstance(node, ast.Index):
            return self.indexed(node, scope)
        if isinstance(node, ast.Expansion):
            return self.expansion(node, scope)
        if isinstance(node, ast.ArrayTest):
            base = self.value(node.base, scope)
            if node.condition is not None:
                self.require(node.condition, {**scope, "CURRENT": base.item()}, wanted=True)
            return Hole("bool")
        if isinstance(node, ast.Passthru):
            return self.value(node.inner, scope)
        if isinstance(node, ast.Subquery):
            rows = Hole("array")
            rows.item().join(self.level(node.query, scope))
            return rows
        if isinstance(node, ast.Call):
            return self.call(node, scope)
        if isinstance(node, ast.Object):
            return self.made(node, scope)
        if isinstance(node, ast.Array):
            rows = Hole("array")
            for number, item in enumerate(node.items):
                hole = self.value(item, scope)
                if number == 0:
                    rows.item().join(hole)
            return rows
        if isinstance(node, ast.Logical):
            holes = [self.value(operand, scope) for operand in node.operands]
            if node.op == "OR" and isinstance(node.operands[-1], ast.Array):
                holes[0].used_as("array")
            return holes[0] if node.op == "OR" else holes[-1]
        if isinstance(node, ast.Ternary):
            condition = self.value(node.condition, scope)
            then = condition if node.then is None else self.value(node.then, scope)
            otherwise = self.value(node.otherwise, scope)
            return otherwise if isinstance(node.then, ast.Literal) else then
        if isinstance(node, ast.Literal):
            return self.literal(node.value)
        return self.operator(node, scope)

    def operator(self, node: ast.Expr, scope: dict[str, Hole]) -> Hole:
        holes = [self.value(child, scope) for child in ast.children(node)]  # type: ignore[arg-type]
        if isinstance(node, ast.Binary | ast.Unary) and node.op in ("+", "-", "*", "/", "%"):
            for hole in holes:
                hole.used_as("number")
            return Hole("number")
        if isinstance(node, ast.Range):
            for hole in holes:
                hole.used_as("small")
            rows = Hole("array")
            rows.item().used_as("number")
            return rows
        if isinstance(node, ast.Binary):
            for hole, other in ((holes[0], node.right), (holes[1], node.left)):
                value = constant(other)
                if value is not NOT_CONSTANT and not isinstance(value, list) and hole.root().measured is None:
                    hole.root().weak.append(value)
        return Hole("bool")

    def literal(self, value: Any) -> Hole:
        hole = Hole()
        hole.asks("==", value)
        return hole

    def named(self, base: Hole, parameter: ast.Parameter) -> Hole:
        """Visit an attribute whose name is a bind variable."""
        hole = self.parameters.setdefault(parameter.name, Hole()).root()
        if hole.element is not None or "array" in hole.kinds:
            return base
        name = self.fixed.setdefault(parameter.name, "a_" + parameter.name.lower())
        return base.child(str(name)) if isinstance(name, str) else base

    def indexed(self, node: ast.Index, scope: dict[str, Hole]) -> Hole:
        base = self.value(node.base, scope)
        index = constant(node.index)
        if isinstance(index, str):
            return base.child(index)
        if index is not NOT_CONSTANT:
            return base.item()
        if isinstance(node.index, ast.Parameter):
            return self.named(base, node.index)
        self.value(node.index, scope)
        return Hole()

    def expansion(self, node: ast.Expansion, scope: dict[str, Hole]) -> Hole:
        source = base = self.value(node.base, scope)
        for _ in range(node.levels):
            base = base.item()
        inner = {**scope, "CURRENT": base}
        if node.condition is not None:
            self.require(node.condition, inner, wanted=True)
        rows = Hole("array")
        rows.source = source
        rows.item().join(self.value(node.each if node.result is None else node.result, inner))
        return rows

    def made(self, node: ast.Object, scope: dict[str, Hole]) -> Hole:
        hole = Hole("object")
        for item in node.items:
            value = self.value(item.value, scope)
            if item.name is not None:
                hole.root().children.setdefault(item.name, value)
            elif isinstance(item.computed, ast.Parameter):
                self.fixed.setdefault(item.computed.name, "a_" + item.computed.name.lower())
        return hole

    def call(self, node: ast.Call, scope: dict[str, Hole]) -> Hole:
        name, arguments = node.name, node.arguments
        if name == "DOCUMENT":
            return self.looked_up(node, scope)
        if name == "CONCAT":
            return self.concatenated(node, scope)
        holes = [Hole() if isinstance(part, ast.Collection) else self.value(part, scope) for part in arguments]
        if name == "COLLECTION_COUNT" or not holes:
            return Hole("number")
        first = holes[0]
        if name in ("LENGTH", "COUNT"):
            hole = Hole("number")
            hole.measured = first
            return hole
        if name in ("FIRST", "LAST", "NTH", "MIN", "MAX"):
            return first.item()
        if name == "CURRENT" or name in _SAME_TYPE:
            if name.startswith("DATE"):
                first.used_as("date")
            elif name in _NUMERIC and name != "TO_NUMBER":
                first.used_as("number")
            return first
        if name in _ARRAYS:
            for hole in holes if name in ("UNION", "UNION_DISTINCT", "INTERSECTION") else holes[:1]:
                hole.used_as("array")
            if name == "FLATTEN":
                inner = first.item()
                return inner if "array" in inner.root().kinds else first
            if name in ("APPEND", "UNION", "UNION_DISTINCT", "INTERSECTION"):
                for hole in holes[1:]:
                    hole.used_as("array")
                    if hole.root().element is not None:
                        first.item().join(hole.item())
            return first
        if name == "NOT_NULL" or name in ("FIRST_LIST", "FIRST_DOCUMENT"):
            return first
        if name in ("MERGE", "MERGE_RECURSIVE", "UNSET", "KEEP", "UNSET_RECURSIVE"):
            if "array" not in first.root().kinds:
                first.used_as("object")
            for hole in holes[1:] if name.startswith("MERGE") else ():
                hole.used_as("object")
            return first
        if name == "PARSE_IDENTIFIER":
            self.identity(first)
            hole = Hole("object")
            root = first.root()
            if root.tail is not None:
                hole.child("key").join(root.tail)
            else:
                root.kinds.add("parsed")
                root.tail = hole.child("key")
            return hole
        if name.startswith("DATE_"):
            first.used_as("date")
            if name in ("DATE_ADD", "DATE_SUBTRACT") and len(holes) > 1:
                holes[1].used_as("small")
            return Hole("number" if name in _NUMERIC else "date")
        if name in _NUMERIC:
            first.used_as("array" if name in ("SUM", "AVG", "AVERAGE", "MEDIAN") else "number")
            return Hole("number")
        if name in ("ZIP", "KEYS", "ATTRIBUTES", "VALUES", "TRANSLATE"):
            return Hole("array" if name != "ZIP" else "object")
        if name == "SPLIT":
            first.used_as("string")
            return Hole("array")
        if name.startswith("IS_") or name in ("HAS", "CONTAINS", "STARTS_WITH", "REGEX_TEST", "LIKE", "POSITION"):
            return Hole("bool")
        return Hole()

    def looked_up(self, node: ast.Call, scope: dict[str, Hole]) -> Hole:
        """Visit DOCUMENT(collection, key or id) or DOCUMENT(id)."""
        if len(node.arguments) == 2:
            place = node.arguments[0]
            name = constant(place)
            if isinstance(place, ast.Parameter | ast.Collection):
                name = self.collection(place)
            elif not isinstance(name, str):
                return Hole("object")
            found = self.document(str(name))
            key = self.value(node.arguments[1], scope)
            if key.root().prefix is not None:
                key.join(found.child("_id"))
            else:
                (key.item() if "array" in key.root().kinds else key).join(found.child("_key"))
                if "array" in key.root().kinds:
                    rows = Hole("array")
                    rows.item().join(found)
                    return rows
            return found
        hole = self.value(node.arguments[0], scope)
        if "array" in hole.root().kinds:
            rows = Hole("array")
            rows.item().child("_id").join(self.identity(hole.item()))
            self.loose.append(rows.item())
            return rows
        text = constant(node.arguments[0])
        if isinstance(text, str) and "/" in text:
            collection, _, key_text = text.partition("/")
            found = self.document(collection)
            found.child("_key").asks("==", key_text)
            return found
        if hole.root().prefix is not None and hole.root().tail is not None:
            found = self.document(str(hole.root().prefix))
            found.child("_key").join(hole.root().tail)  # type: ignore[arg-type]
            return found
        identity = self.identity(hole)
        found = Hole("object")
        found.child("_id").join(identity)
        self.loose.append(found)
        return found

    def concatenated(self, node: ast.Call, scope: dict[str, Hole]) -> Hole:
        """Visit CONCAT, which often builds an id from a collection's name and a key."""
        holes = [self.value(part, scope) for part in node.arguments]
        first = constant(node.arguments[0]) if node.arguments else None
        hole = Hole("string")
        if len(holes) == 2 and isinstance(first, str) and first.endswith("/") and first.count("/") == 1:
            hole.prefix, hole.tail = first[:-1], holes[1]
        elif len(holes) == 3 and constant(node.arguments[1]) == "/":
            place = node.arguments[0]
            if isinstance(place, ast.Parameter):
                hole.prefix, hole.tail = self.collection(place), holes[2]
            elif isinstance(first, str):
                hole.prefix, hole.tail = first, holes[2]
        if hole.prefix is not None and hole.tail is not None:
            hole.tail.used_as("string")
            self.document(hole.prefix).child("_key").join(hole.tail)
        return hole


def constant(node: ast.Expr) -> Any:
    """Return the value of an expression that depends on nothing, or a sentinel."""
    for below in ast.walk(node):
        if isinstance(below, ast.Variable | ast.Parameter | ast.Collection | ast.Subquery | ast.Expansion):
            return NOT_CONSTANT
    try:
        next(run(ast.Query((), (ast.Return(node),)), None, QueryOptions(max_runtime=1.0)))
    except StopIteration as stop:
        return stop.value.rows[0]
    except ArangoError:
        pass
    return NOT_CONSTANT
