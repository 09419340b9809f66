"""Statements -> blocks: FOR, FILTER, LET, SORT, LIMIT, and documents that DOCUMENT fetches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.aql import ast
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.output import OutputCompiler, Sink
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import (
    AliasVar,
    Block,
    DocumentVar,
    ElementVar,
    Item,
    Moving,
    OrderKey,
    RowsVar,
    Scan,
    ValueVar,
)
from proxy.aql.compile.sql_terms import AnyTerm, Bound, Constant, Deferred, NotCompilable, Term
from proxy.aql.compile.subquery_rows import Rows
from proxy.aql.primary_index_order import by_primary_index
from proxy.model.documents import valid_key


class StatementCompiler(OutputCompiler):
    """Compiles the statements of a level into the present block."""

    def statements(self, query: ast.Query) -> ast.Return:
        for index, statement in enumerate(query.statements[:-1]):
            self.by_key = by_primary_index(query.statements, index)
            self.statement(statement)
        final = query.statements[-1]
        if not isinstance(final, ast.Return):
            raise NotCompilable(type(final).__name__.upper())
        return ast.Return(self.hoisted(final.value, calls=True), final.distinct)

    def statement(self, node: ast.Statement) -> None:
        """One statement."""
        if isinstance(node, ast.For):
            self.loop(node)
        elif isinstance(node, ast.Filter):
            if self.block.limit:
                self.wrap()
            self.filter(self.hoisted(node.condition))
        elif isinstance(node, ast.Let):
            if not isinstance(node.target, str):
                raise NotCompilable("destructuring")
            self.scope.variables[node.target] = AliasVar(self.hoisted(node.value, calls=True), self.scope)
        elif isinstance(node, ast.Sort):
            self.sort(node)
        elif isinstance(node, ast.Limit):
            self.limit(node)
        elif isinstance(node, ast.Collect):
            self.collect(node)
        else:
            raise NotCompilable(type(node).__name__.upper())

    def collect(self, node: ast.Collect) -> None:
        """COLLECT"""
        raise NotImplementedError

    # --- blocks in blocks

    def wrap(self) -> None:
        """The present block becomes the one FROM item of a new one."""
        inner, self.block = self.block, Block()
        alias = self.fresh("s")
        self.block.limited = (inner, alias)
        self.derive(inner, alias)

    def derive(self, inner: Block, alias: str) -> None:
        """A block becomes a FROM item of the present one, in its order where that has none yet."""
        move = Moving(alias)
        for var in inner.owned:
            var.moved(move)
        self.block.owned += inner.owned
        if inner.order:
            self.block.sorted_by = "place" if self.block.order else inner.sorted_by
            self.block.order += [replace(key, sql=move(key.sql)) for key in inner.order]
        self.block.items.append(Item(lambda: f"LATERAL ({inner.select(list(move.select()) or ['1 AS one'])}) {alias}"))
        guard = inner.guard(alias) if inner.limit else ""
        if guard:
            self.block.where.append(f"_crossfade.unless({guard}, true)")

    # --- FOR

    def loop(self, node: ast.For) -> None:
        """FOR over a collection, a range, a subquery or an array."""
        if node.search is not None:
            raise NotCompilable("SEARCH")
        if not isinstance(node.variable, str):
            raise NotCompilable("destructuring")
        if self.block.limit:
            self.wrap()
        self.unsorted()
        collection = self.collection_name(node.source)
        if collection is not None:
            self.scan(node.variable, collection)
        elif isinstance(node.source, ast.Range):
            self.numbers_between(node.variable, node.source)
        elif isinstance(node.source, ast.Subquery) and not pure(node.source):
            with self.inside(node.source.query) as final:
                if final.distinct:
                    raise NotCompilable("RETURN DISTINCT in a loop")
                inner, scope = self.block, self.scope
            self.scope.variables[node.variable] = AliasVar(final.value, scope)
            self.derive(inner, self.fresh("s"))
        else:
            self.elements(node.variable, self.hoisted(node.source))

    def unsorted(self) -> None:
        """A loop begins: what was sorted or cut before it orders the runs of its rows, and says no more how many."""
        self.block.limited = None
        if self.block.order:
            self.block.sorted_by = "place"

    def scan(self, variable: str, collection: str) -> None:
        """FOR over a collection."""
        table, alias = self.table(collection), self.fresh("d")
        self.block.items.append(Item(lambda: f"{table.relation} {alias}"))
        self.block.where.append(f"{alias}.doc IS NOT NULL")
        self.in_place(f"{alias}.key", loose=not table.small)
        prefix = self.parameters.add(f"{collection}/", "text")
        var = DocumentVar(variable, f"{alias}.key", f"{alias}.doc", f"{alias}.raw", prefix, collection)
        var.edges = alias if table.edge else None
        var.indexed = table.indexed
        self.scans[var.doc] = Scan(collection)
        self.bind(variable, var)

    def bind(self, variable: str, var: DocumentVar | ElementVar | ValueVar | RowsVar) -> None:
        """A variable whose columns are the present block's."""
        self.block.owned.append(var)
        self.scope.variables[variable] = var

    def numbers_between(self, variable: str, node: ast.Range) -> None:
        """FOR over low..high."""
        bounds = []
        for end in (node.low, node.high):
            term = self.term(self.hoisted(end))
            if isinstance(term, Constant):
                if type(term.value) is not int or abs(term.value) > 1 << 40:
                    raise NotCompilable("a range of no integers")
                bounds.append(self.parameters.add(term.value, "bigint"))
            elif term.kind == "int":
                bounds.append(term.sql)
            elif term.kind == "number":
                bounds.append(f"trunc(coalesce({term.sql}, 0))::bigint")
            else:
                raise NotCompilable("a range of no numbers")
        low, high = bounds
        alias = self.fresh("e")
        step = f"CASE WHEN {low} <= {high} THEN 1 ELSE -1 END"
        self.block.items.append(
            Item(lambda: f"LATERAL generate_series({low}, {high}, {step}) WITH ORDINALITY AS {alias} (v, i)")
        )
        self.in_place(f"{alias}.i")
        self.bind(variable, ValueVar(variable, f"{alias}.v", "int", True))

    def elements(self, variable: str, source: ast.Expr) -> None:
        """FOR over an array."""
        value, alias = self.json(self.term(source)), self.fresh("e")
        call = f"jsonb_array_elements(_crossfade.loop({value}))"
        self.block.items.append(Item(lambda: f"LATERAL {call} WITH ORDINALITY AS {alias} (v, i)"))
        self.in_place(f"{alias}.i")
        self.bind(variable, ElementVar(variable, f"{alias}.v", f"{alias}.i", source, self.scope))

    def in_place(self, sql: str, *, loose: bool = False) -> None:
        """Rows come as the loops go: in the order of this one within that of the loops around it."""
        self.block.order.append(OrderKey(sql, False, False, loose))
        self.block.sorted_by = "place"

    # --- SORT, LIMIT

    def sort(self, node: ast.Sort) -> None:
        """SORT: the last one decides."""
        if self.block.limit:
            self.wrap()
        before, self.block.limited = (self.block.order, self.block.sorted_by), None
        self.block.order, self.block.sorted_by = [], "sort"
        for key in node.keys:
            descending = self.descending(key.direction)
            term = self.term(self.hoisted(key.value))
            if isinstance(term, Constant):
                continue
            if self.by_key:  # in the order of bytes, which is that of the column
                self.block.order.append(OrderKey(term.sql, descending, False))
            else:
                self.block.order.append(self.order_key(term, descending))
        if not self.block.order:
            self.block.order, self.block.sorted_by = before  # by constants alone
        self.listed()

    def listed(self) -> None:
        """Notes what an index would need to give the order, where the rows are those of one collection."""
        documents = [var for var in self.block.owned if isinstance(var, DocumentVar) and var.doc in self.scans]
        keys = self.block.order
        if len(self.block.items) != 1 or len(documents) != 1 or not keys:
            return
        doc = documents[0].doc
        alias = doc.partition(".")[0] + "."
        if any(alias not in key.sql or "\x01" in key.sql or "(SELECT" in key.sql for key in keys):
            return
        mixed = len({key.descending for key in keys}) > 1
        self.scans[doc].order = tuple(
            key.sql.replace(alias, "") + (" DESC" if mixed and key.descending else "") for key in keys
        )

    def order_key(self, term: Term, descending: bool) -> OrderKey:
        """A term as a key of ORDER BY."""
        if term.kind in ("int", "bool"):
            return OrderKey(term.sql, descending, False)
        if not self.catalog.icu and term.kind != "number":
            raise NotCompilable("order of strings without ICU")
        return OrderKey(self.sort_key(term), descending, not term.scalar)

    def descending(self, direction: str | ast.Expr) -> bool:
        """ASC or DESC, or what stands for them."""
        if isinstance(direction, str):
            return direction == "DESC"
        if self.constant(direction):
            value = self.folded(direction).value
            if isinstance(value, str) and value.upper() in ("ASC", "DESC"):
                return value.upper() == "DESC"
            if isinstance(value, bool | int | float):
                return not value
        raise NotCompilable("a direction of SORT")

    def limit(self, node: ast.Limit) -> None:
        """LIMIT offset, count."""
        if self.block.limit:
            self.wrap()
        offset = 0 if node.offset is None else self.bound(node.offset)
        count = self.bound(node.count)
        if count is not None:
            self.block.limit += f" LIMIT {self.parameters.add(count, 'bigint')}"
        if offset:
            self.block.limit += f" OFFSET {self.parameters.add(offset, 'bigint')}"
        if not self.block.limit:
            self.block.limit = " OFFSET 0"
        self.block.bounds = (offset or 0, count)

    def bound(self, node: ast.Expr) -> int | Deferred | None:
        """A number of LIMIT; a bind variable's is that of each run."""
        if not self.constant(node):
            raise NotCompilable("a LIMIT that is no constant")
        term = self.term(node)
        if isinstance(term, Bound) and term.kind == "count":
            name = term.name
            return Deferred(lambda binds: binds[name], ("limit", name))
        assert isinstance(term, Constant)
        value = term.value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 62:
            raise NotCompilable("a LIMIT out of range")
        return int(value)

    # --- subqueries and documents, once each

    def hoisted(self, node: Any, *, calls: bool = False) -> Any:
        """The expression with its subqueries over documents in variables, so that each is run once.

        calls: its DOCUMENT() as well. LENGTH of a subquery stays: it needs no rows.
        """
        if isinstance(node, ast.Subquery):
            if pure(node):
                return node
            name = self.fresh("#")
            self.rows_variable(name, node)
            return ast.Variable(name)
        if not isinstance(node, ast.Node) or pure(node):
            return node
        if isinstance(node, ast.Call):
            if node.name in ("LENGTH", "COUNT") and isinstance(node.arguments[0], ast.Subquery):
                return node
            if node.name == "DOCUMENT" and calls:
                call = replace(node, arguments=tuple(self.hoisted(item, calls=True) for item in node.arguments))
                name = self.fresh("#")
                self.scope.variables[name] = self.lookup(call)
                return ast.Variable(name)
        changed: dict[str, Any] = {}
        for name in node.__dataclass_fields__:
            value = getattr(node, name)
            if isinstance(value, ast.Node):
                changed[name] = self.hoisted(value, calls=calls)
            elif isinstance(value, tuple) and any(isinstance(item, ast.Node) for item in value):
                changed[name] = tuple(self.hoisted(item, calls=calls) for item in value)
        return replace(node, **changed) if changed else node

    def rows_variable(self, name: str, node: ast.Subquery) -> None:
        """A variable for the rows of a subquery: a lateral FROM item with those columns that are wanted in the end."""
        alias = self.fresh("l")
        if self.block.limit:
            self.wrap()
        rows = Rows(alias)
        with self.inside(node.query) as final:
            block = self.block
            block.distinct = final.distinct
            sink = Sink()
            try:
                expression = self.output(final.value, sink)
                rows.finish = Finish(tuple(sink.columns), expression, final.distinct)
                rows.output_column = f"json_build_array({', '.join(sink.sql)})"
            except NotCompilable as reason:
                rows.no_output = reason
            try:
                if final.distinct:
                    raise NotCompilable("RETURN DISTINCT in a condition")
                rows.value_column = self.json(self.term(final.value))
            except NotCompilable as reason:
                rows.no_value = reason
        if rows.no_output is not None and rows.no_value is not None:
            raise rows.no_output
        self.block.items.append(Item(lambda: rows.text(block)))
        var = RowsVar(name, rows.value, rows.output, rows.count)
        self.block.owned.append(var)
        self.scope.variables[name] = var

    def lookup(self, node: ast.Call) -> DocumentVar:
        if self.block.limit:
            self.wrap()
        arguments = node.arguments
        collection = None
        if len(arguments) == 2:
            collection = self.collection_name(arguments[0])
            if collection is None:
                term = self.term(arguments[0])
                if not isinstance(term, Constant) or not isinstance(term.value, str):
                    raise NotCompilable("DOCUMENT of a collection that is computed")
                collection = term.value
        wanted = self.term(arguments[-1])
        if isinstance(wanted, Bound) and wanted.kind == "text" and collection is not None:
            return self.looked_up(collection, Term(self.text(wanted), "text", True))
        if isinstance(wanted, Constant):
            if not isinstance(wanted.value, str):
                raise NotCompilable("DOCUMENT of several")
            head, slash, key = wanted.value.partition("/")
            if slash and collection is None:
                collection, wanted = head, Constant(key)
            elif slash and collection == head:
                wanted = Constant(key)
            elif slash or collection is None:
                raise NotCompilable("DOCUMENT of another collection")
            if not valid_key(wanted.value):
                raise NotCompilable("DOCUMENT of no key")
        return self.looked_up(collection, wanted)

    def looked_up(self, collection: str | None, wanted: AnyTerm) -> DocumentVar:
        """The document of a key or id, as a FROM item of the present block."""
        if isinstance(wanted, Constant):
            text = self.text(wanted)
        elif wanted.kind == "text":
            text = wanted.sql
        else:
            value = self.json(wanted)  # an object names no document, whatever its _id
            text = f"_crossfade.id_text(CASE jsonb_typeof({value}) WHEN 'object' THEN 'null' ELSE {value} END)"
        identity = f"{collection} {text}"
        known = self.block.lookups.get(identity)
        if known is not None:
            return known
        alias = self.fresh("t")
        if collection is not None:
            table = self.table(collection)
            prefix = self.parameters.add(f"{collection}/", "text")
            key = text
            if not isinstance(wanted, Constant):
                size = self.parameters.add(len(collection) + 1, "integer")
                after = self.parameters.add(len(collection) + 2, "integer")
                key = f"CASE WHEN left({text}, {size}) = {prefix} THEN substr({text}, {after}) ELSE {text} END"
            source = f"SELECT key, doc, raw FROM {table.relation} WHERE doc IS NOT NULL AND key = {key}"
            var = DocumentVar(alias, f"{alias}.key", f"{alias}.doc", f"{alias}.raw", prefix, collection, True)
        else:
            self.dynamic = True
            names = sorted(self.catalog.tables)
            if not names or len(names) > 200:
                raise NotCompilable("DOCUMENT over that many collections")
            prefixes = self.parameters.add(names, "text[]")
            whole = f"_crossfade.known({text}, {prefixes})"
            parts = []
            for name in names:
                prefix = self.parameters.add(f"{name}/", "text")
                table = self.table(name)
                parts.append(
                    f"SELECT key, doc, raw, {prefix} AS prefix FROM {table.relation} WHERE doc IS NOT NULL "
                    f"AND key = CASE WHEN w.id LIKE '%/%' AND split_part(w.id, '/', 1) || '/' = {prefix} "
                    f"THEN substr(w.id, char_length({prefix}) + 1) END"
                )
            source = f"SELECT u.* FROM (SELECT {whole} AS id OFFSET 0) w, LATERAL ({' UNION ALL '.join(parts)}) u"
            var = DocumentVar(alias, f"{alias}.key", f"{alias}.doc", f"{alias}.raw", f"{alias}.prefix", None, True)
        self.block.items.append(Item(lambda: f"LATERAL ({source}) {alias}", left=True))
        self.block.owned.append(var)
        self.block.lookups[identity] = var
        return var
