"""Random documents and random queries over them, for the compiler: with mixed types and missing attributes."""

from __future__ import annotations

import random
import re
from typing import Any

PLAIN: list[Any] = ["a", "A", "b", "ab", "", "é", "_", "10", "x%", None, True, False, 0, 1, 2, -1, 1.5, 10, 1e21]
ODD: list[Any] = [
    *["e\u0301", "a\u0000b", "\ufdd0", "'; DROP TABLE x; --", '"\\', "ß", "c/1", " 1 ", "Zeta"],
    *[0.1, -0.0, 2**53 + 1, 1e-7, 100000000],
    *[[], [1], [1, None], [[1], "a"], ["a", "b"], {}, {"k": None}, {"k": 1}, {"k": {"l": "a"}}, {"b": 0, "a": 1}],
]  # fmt: skip
DATES: list[Any] = [
    *["2024-02-29T23:59:59.999Z", "2024-03-01", "1999-12-31T12:00:00+02:00", "0001-01-01T00:00:00.1"],
    *["2024-12-30T00:00:00-05:30", "9999-12-31T23:59:59.123456Z", 0, -1.5, 1709251199999],
]
PATHS = ("d.a", "d.b", "d.n.k", "d.n", "d.t", "d.t[0]", "d.t[-1]", "d.n.k.l", "d['b']", "d.missing", "d._key", "d._id")
SCALARS = ("d.a", "d.b", "d.s", "d.i", "d._key")


def documents(rng: random.Random, number: int) -> list[dict[str, Any]]:
    """Make documents: a and b are any value, s a string, i an integer, t nearly always an array, n an object or not."""
    odd = rng.random() < 0.5
    values = PLAIN + ODD if odd else PLAIN
    found = []
    for _ in range(number):
        row: dict[str, Any] = {}
        for name, make in (
            ("a", lambda: rng.choice(values)),
            ("b", lambda: rng.choice(values)),
            ("s", lambda: rng.choice(["a", "A", "b", "ab", "é", "_", "-", "10", "Z", "zz"])),
            ("i", lambda: rng.randint(-3, 3)),
            ("t", lambda: [rng.choice(values) for _ in range(rng.randint(0, 3))] if rng.random() < 0.9 else None),
            ("n", lambda: {"k": rng.choice(values)} if rng.random() < 0.8 else rng.choice(values)),
            ("r", lambda: f"{rng.choice('cf')}/{rng.randint(1, number)}"),
            ("w", lambda: rng.choice(DATES)),
        ):
            if rng.random() < 0.85:
                row[name] = make()
        found.append(row)
    return found


class Maker:
    """Makes queries; `binds` are the bind variables of the last one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.binds: dict[str, Any] = {}

    def value(self) -> str:
        """Make a constant, as a bind variable."""
        name = f"v{len(self.binds)}"
        self.binds[name] = self.rng.choice(PLAIN if self.rng.random() < 0.7 else ODD)
        return f"@{name}"

    def text(self) -> str:
        name = f"v{len(self.binds)}"
        self.binds[name] = self.rng.choice(["a", "A", "b", "", "é", "%a", "_b%", "a%", "\\%", "x\\", "1", "'"])
        return f"@{name}"

    def operand(self) -> str:
        """Make an operand of a comparison."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.7:
            return rng.choice(PATHS)
        if kind < 0.8:
            return rng.choice(["LENGTH(d.t)", "LOWER(d.s)", "UPPER(d.s)", "NOT_NULL(d.a, d.b)", "CONCAT(d.s, d.i)"])
        if kind < 0.9:
            return rng.choice(["(d.a || d.b)", "(d.a && d.b)", "(d.a ? d.b : d.s)", "d.i + 1", "d.i * 2", "[d.i]"])
        return rng.choice(["{k: d.i}", "SUBSTRING(d.s, 0, 1)", "(d.a == d.b)", "d.s IN ['a', 'b']", "d.n['k']"])

    def condition(self, depth: int = 2) -> str:
        rng = self.rng
        if depth and rng.random() < 0.4:
            kind = rng.choice(["AND", "OR", "NOT"])
            if kind == "NOT":
                return f"NOT ({self.condition(depth - 1)})"
            return f"({self.condition(depth - 1)} {kind} {self.condition(depth - 1)})"
        chance = rng.random()
        if chance < 0.45:
            op = rng.choice(["==", "==", "!=", "<", "<=", ">", ">="])
            left, right = self.operand(), self.value() if rng.random() < 0.7 else self.operand()
            return f"{left} {op} {right}" if rng.random() < 0.8 else f"{right} {op} {left}"
        if chance < 0.6:
            op = rng.choice(["IN", "NOT IN"])
            if rng.random() < 0.5:
                return f"{self.value()} {op} {rng.choice(['d.t', 'd.a', 'd.n.k'])}"
            return f"{self.operand()} {op} [{self.value()}, {self.value()}]"
        if chance < 0.7:
            return f"{rng.choice(['d.s', 'd._key', 'd.a'])} {rng.choice(['LIKE', 'NOT LIKE'])} {self.text()}"
        return rng.choice(
            [
                f"CONTAINS(d.s, {self.text()})",
                f"CONTAINS(LOWER(CONCAT_SEPARATOR(' ', d.s, d.i, d.t)), LOWER({self.text()}))",
                f"LIKE(d.s, {self.text()}, true)",
                "HAS(d, 'a')",
                "HAS(d.n, 'k')",
                "IS_NUMBER(d.a)",
                "IS_NULL(d.b)",
                self.operand(),
                f"STARTS_WITH(d._id, {self.text()})",
                f"(FOR x IN d.t || [] FILTER x == {self.value()} RETURN 1)[0] == 1",
                f"LENGTH(FOR e IN f FILTER e.s == d.s AND e.i > {self.value()} RETURN 1) > 1",
                "d == DOCUMENT(d._id)",
                "DOCUMENT(d) == null",
                f"{{a: d.a, a: d.b}}.a {self.comparison()} {self.value()}",
                f"{{a: d.a, ['a']: d.b, a: d.i}}.a {self.comparison()} {self.value()}",
                f"LENGTH([d.t][*][*]) {self.comparison()} 1",
                f"[d, d][*].t[*].k[*][0] {self.comparison()} {self.value()}",
                f"JSON_STRINGIFY(d.a) {self.comparison()} {self.value()}",
                f"TRIM(d.s) {self.comparison()} {self.value()}",
                "DOCUMENT(d.r).i == d.i",
                f"{self.value()} IN d.t[*]{rng.choice(['', '.k', '[0]'])}",
                f"LENGTH(d.t[* FILTER CURRENT {self.comparison()} {self.value()}]) {self.comparison()} 1",
                f"d.t[* FILTER CURRENT != null LIMIT {rng.choice(['1', '1, 1'])} RETURN CURRENT] == [{self.value()}]",
                f"d.t[? {self.quantifier()} FILTER CURRENT {self.comparison()} {self.value()}]",
                f"d.t[? {rng.choice(['1', '2', '0'])} FILTER CURRENT == {self.value()}]",
                f"{rng.choice(['d.t', 'd.a', '[d.i, d.s]'])} {self.quantifier()} {self.comparison()} {self.operand()}",
                f"d.t {self.quantifier()} {rng.choice(['IN', 'NOT IN'])} {rng.choice(['d.t', '[1, d.a]', 'd.n'])}",
                f"LENGTH({rng.choice(['INTERSECTION', 'MINUS'])}(d.t || [], [{self.value()}, {self.value()}, 1])) > 0",
                "LENGTH(UNIQUE(d.t || [])) == LENGTH(d.t)",
                f"UNION_DISTINCT(d.t || [], [1, d.i]) {self.comparison()} UNION(d.t || [], [d.i])",
                f"DATE_TIMESTAMP({self.when()}) {self.comparison()} 1709251199999",
                f"DATE_ISO8601({self.when()}) {self.comparison()} '2024-03-01T00:00:00.000Z'",
                f"DATE_TRUNC({self.when()}, '{rng.choice(['year', 'month', 'd', 'h', 'minutes', 's'])}') > '2000'",
                f"DATE_{rng.choice(['YEAR', 'MONTH', 'DAY', 'HOUR', 'SECOND', 'DAYOFWEEK', 'DAYOFYEAR', 'ISOWEEK'])}"
                f"({self.when()}) {self.comparison()} {rng.choice(['2024', '12', '1', '0'])}",
                f"{rng.choice(['FLOOR', 'CEIL', 'SQRT'])}(d.i / 2) {self.comparison()} {self.value()}",
            ]
        )

    def when(self) -> str:
        """Make a date."""
        return f"NOT_NULL(d.w, {self.rng.choice(['0', repr(self.rng.choice(DATES))])})"

    def comparison(self) -> str:
        return self.rng.choice(["==", "!=", "<", "<=", ">", ">="])

    def quantifier(self) -> str:
        return self.rng.choice(["ANY", "ALL", "NONE", "AT LEAST (2)"])

    def filters(self) -> str:
        return " ".join(f"FILTER {self.condition()}" for _ in range(self.rng.randint(0, 2)))

    def direction(self) -> str:
        return self.rng.choice(["OUTBOUND", "INBOUND", "ANY"])

    def steps(self) -> str:
        """Make depth and direction of a traversal."""
        return f"{self.rng.choice(['', '', '1', '1..1', '2', '1..2', '0..1', '0..3'])} {self.direction()}"

    def start(self) -> str:
        return self.rng.choice(["'c/1'", "'c/2'", "DOCUMENT('c/3')", "'f/1'", "'c/nobody'", "{_id: 'c/4'}"])

    def filter_hop(self) -> str:
        return self.rng.choice(["", "FILTER v.i > 0", "FILTER e.w == 1", "FILTER v != null AND v.s == d.s"])

    def sort(self) -> str:
        rng = self.rng
        keys = rng.sample(
            ["d.s", "d.i", "d._key", "DATE_TIMESTAMP(d.w || 0)", "LENGTH(d.t)", "d.missing", "LOWER(d.s)", "d.i < 1"],
            rng.randint(1, 2),
        )
        if rng.random() < 0.3:
            keys.insert(0, rng.choice(["d.a", "d.b", "d.n.k"]))
        text = "SORT " + ", ".join(f"{key} {rng.choice(['ASC', 'DESC', ''])}" for key in keys)
        return text + rng.choice(["", " LIMIT 3", " LIMIT 2, 4", " LIMIT 1, 1"])

    def result(self) -> str:
        return self.rng.choice(
            [
                "d",
                "d._key",
                "d.a",
                "{k: d._key, v: d.n, w: d.t[*]}",
                "{k: d.a, k: d.b, ['k']: d.i, n: d.n, n: 1}",
                "[d.t[*][*], d.t[*].k[*], d.n[*].k[*][*], [d][*].t[*].k[*]]",
                "[JSON_STRINGIFY(d.a), d.b * -0.0, TO_STRING(-d.i), 0 * -d.i, [d.a][* LIMIT -1, 2]]",
                "[FIRST(d.t || []), SUM(d.t || []), REMOVE_NTH(d.t || [], d.i / 2)]",
                "[HASH(d.a), SUBSTRING(d.s, 0, null)]",
                "[d.a, d.b, d.n.k]",
                "MERGE(d, {x: d.i + 1})",
                "{d, e: (FOR e IN f FILTER e.s == d.s SORT e._key LIMIT 2 RETURN {k: e._key, a: e.a})}",
                "DOCUMENT(d.r).a",
                "KEEP(d, 'a', 'b')",
                "LENGTH(FOR e IN f FILTER e.i == d.i RETURN e)",
                "CONCAT(d.s, '-', d.i)",
                "d.t[* FILTER CURRENT != null RETURN CURRENT]",
            ]
        )

    def query(self) -> str:
        """Make the next query; its bind variables are in `binds`."""
        self.binds = {}
        rng, filters = self.rng, self.filters()
        head = f"FOR d IN c {filters}"
        group = rng.choice(["d.s", "d.i", "d.missing", "d._key", "LENGTH(d.t)", "d.i < 0", "d.a", "d.s || 'none'"])
        text = rng.choice(
            [
                f"{head} RETURN {self.result()}",
                f"{head} {self.sort()} RETURN {self.result()}",
                f"{head} {self.sort()} RETURN {self.result()}",
                f"{head} RETURN DISTINCT {rng.choice(['d.a', 'd.s', '[d.i, d.b]'])}",
                f"RETURN LENGTH({head} RETURN 1)",
                f"{head} COLLECT g = {group} WITH COUNT INTO n RETURN {{g, n}}",
                f"{head} COLLECT g = {group} WITH COUNT INTO n SORT n DESC LIMIT 2 RETURN {{g, n}}",
                f"{head} COLLECT WITH COUNT INTO n RETURN n",
                f"{head} COLLECT g = d.s, h = d.i INTO them RETURN {{g, h, n: LENGTH(them)}}",
                f"{head} COLLECT g = d.s INTO them = d.i RETURN {{g, them}}",
                f"{head} COLLECT g = d.s "
                "AGGREGATE x = SUM(d.i), y = MAX(d.s), z = MIN(d.a) RETURN {g, x, y, z}",
                f"{head} COLLECT AGGREGATE a = AVG(d.i), s = SUM(d.b), n = COUNT(d), u = COUNT_DISTINCT(d.a) "
                "RETURN [a, s, n, u]",
                f"{head} FOR e IN f FILTER e.{rng.choice(['s', 'i', 'a', 'n', '_id'])} == d.{rng.choice('siarn')} "
                "RETURN [d._key, e._key]",
                f"{head} FOR x IN d.t || [] FILTER x != {self.value()} RETURN [d._key, x]",
                f"{head} LET x = (FOR e IN f FILTER e.i == d.i SORT e._key RETURN e.s) FILTER LENGTH(x) > 1 "
                "RETURN {k: d._key, x}",
                f"{head} LET x = FIRST(FOR e IN f FILTER e.s == d.s SORT e._key RETURN e) FILTER x.i >= 0 "
                "RETURN [d._key, x.a]",
                f"{head} LET e = DOCUMENT(d.r) FILTER e != null AND e.i != d.i RETURN {{d: d._key, e}}",
                f"FOR x IN ({head} SORT d._key LIMIT 5 RETURN {{k: d._key, v: d.i}}) FILTER x.v > -2 RETURN x.k",
                f"{head} SORT d.s, d._key LIMIT 6 FILTER d.i > -2 LET y = d.i * 2 RETURN {{k: d._key, y}}",
                f"LET n = LENGTH(c) {head} FILTER d.i < n RETURN [d._key, n]",
                f"{head} FOR v, e IN {self.steps()} d g {self.filter_hop()} RETURN [d._key, v._id, e.w, v]",
                f"{head} LET x = (FOR v IN {self.steps()} d._id g, {self.direction()} h RETURN v.s) RETURN [d._key, x]",
                f"FOR v, e IN {self.steps()} {self.start()} g FOR u IN {self.steps()} v h RETURN [v._key, u.i, e._to]",
                f"{head} FILTER LENGTH(FOR v IN {self.steps()} d.r g RETURN 1) > 1 RETURN d._key",
            ]
        )  # fmt: skip
        used = set(re.findall(r"@(v\d+)", text))
        self.binds = {name: value for name, value in self.binds.items() if name in used}
        return text

    def ordered(self) -> str:
        """Make a query whose rows are in the order of its loops, without a SORT at the end."""
        self.binds = {}
        rng = self.rng
        head = f"FOR d IN c {self.filters()}"
        other = f"FOR e IN f FILTER e.{rng.choice('sia')} == d.{rng.choice('sia')}"
        text = rng.choice(
            [
                f"{head} RETURN d._key",
                f"FOR x IN [3, 1, 2] {head} RETURN [x, d._key]",
                f"FOR x IN 2..1 {head} FILTER d.i == x RETURN [x, d._key]",
                f"FOR x IN ['b', 'a'] {head} FILTER d.s == x {other} RETURN [x, d._key, e._key]",
                f"{head} FOR x IN d.t || [] RETURN [d._key, x]",
                f"{head} {other} RETURN [d._key, e._key]",
                f"{head} {other} FOR x IN [2, 1] RETURN [d._key, e._key, x]",
                f"{head} LIMIT {rng.choice(['3', '2, 3', '20'])} RETURN d._key",
                f"{head} {other} LIMIT 1, 4 RETURN [d._key, e._key]",
                f"{head} LIMIT 4 FOR x IN [2, 1] RETURN [d._key, x]",
                f"{head} LIMIT 6 SORT d.i, d._key RETURN d._key",
                f"{head} RETURN DISTINCT {rng.choice(['d.s', 'd.i'])}",
                f"{head} SORT d.i, d._key LIMIT 4 FOR x IN [2, 1] RETURN [d._key, x]",
                f"{head} SORT d.i DESC, d._key {other} RETURN [d._key, e._key]",
                f"{head} SORT null RETURN d._key",
                "FOR x IN [2, 3, 1] SORT null RETURN x",
                f"{head} LET x = ({other} RETURN e._key) RETURN [d._key, x]",
                f"{head} LET x = (FOR y IN [2, 1] {other} RETURN [y, e._key]) RETURN x",
                f"{head} COLLECT g = d.s INTO them = d._key RETURN [g, them]",
                f"FOR x IN [2, 1] {head} COLLECT g = d.s INTO them = [x, d._key] RETURN [g, them]",
                f"FOR x IN ({head} SORT d.i, d._key RETURN d) FOR y IN 2..1 RETURN [x._key, y]",
                f"{head} COLLECT g = d.s FOR x IN [2, 1] RETURN [g, x]",
                f"RETURN (FOR x IN [2, 1] {head} RETURN [x, d._key])",
            ]
        )  # fmt: skip
        used = set(re.findall(r"@(v\d+)", text))
        self.binds = {name: value for name, value in self.binds.items() if name in used}
        return text


def edges(rng: random.Random, number: int, vertices: int) -> list[dict[str, Any]]:
    """Make edges between c and f, also to themselves and to missing documents."""
    ends = [f"{rng.choice('ccf')}/{rng.randint(1, vertices)}" for _ in range(max(2, vertices // 2))]
    return [{"_from": rng.choice(ends), "_to": rng.choice(ends), "w": rng.randint(0, 2)} for _ in range(number)]
