"""SQL forms of functions: declared beside the implementation with `sql_form`, applied by `proxy.aql.compile.calls`.

A function without a form is not compiled in conditions and sort keys: the evaluator answers such queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from proxy.aql import ast
from proxy.aql.sql_forms import SqlForms
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, Parameters, Term


class SqlCall:
    """A call that is compiled to SQL; its arguments are compiled when they are asked for, by position."""

    def __init__(
        self,
        name: str,
        arguments: tuple[ast.Expr, ...],
        forms: SqlForms,
        term: Callable[[ast.Expr], AnyTerm],
        condition: Callable[[ast.Expr], str],
    ) -> None:
        self.name = name
        self.count = len(arguments)
        self.forms = forms
        self._arguments = arguments
        self._term = term
        self._condition = condition

    @property
    def parameters(self) -> Parameters:
        """The parameters of the statement."""
        return self.forms.parameters

    def term(self, position: int) -> AnyTerm:
        """Return an argument as a term."""
        return self._term(self._arguments[position])

    def json(self, position: int) -> str:
        """Return an argument as jsonb."""
        return self.forms.json(self.term(position))

    def text(self, position: int) -> str:
        """Return an argument as text."""
        return self.forms.text(self.term(position))

    def number(self, position: int) -> str:
        """Return an argument as a double."""
        return self.forms.number(self.term(position))

    def condition(self, position: int) -> str:
        """Return an argument as a boolean that is never NULL."""
        return self._condition(self._arguments[position])

    def constant(self, position: int) -> ConstantTerm | None:
        """Return an argument that is known before the statement runs; None if it is not."""
        term = self.term(position)
        return term if isinstance(term, ConstantTerm) else None


SqlForm: TypeAlias = Callable[[SqlCall], AnyTerm | None]  # None: not for these arguments
SQL_FORMS: Final[dict[str, SqlForm]] = {}


def sql_form(*names: str) -> Callable[[SqlForm], SqlForm]:
    """Register the SQL form of functions. It raises NotCompilable for arguments that it cannot express."""

    def register(form: SqlForm) -> SqlForm:
        for name in names:
            SQL_FORMS[name] = form
        return form

    return register


def of_bool(sql: str) -> Term:
    """Return a boolean term."""
    return Term(sql, "bool", scalar=True)


def of_text(sql: str) -> Term:
    """Return a text term."""
    return Term(sql, "text", scalar=True)


def of_int(sql: str) -> Term:
    """Return an integer term."""
    return Term(sql, "int", scalar=True)


def of_number(sql: str) -> Term:
    """Return a term of a double."""
    return Term(sql, "number", scalar=True)
