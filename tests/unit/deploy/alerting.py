"""Just enough of PromQL to evaluate the alerts on states at one moment, where no promtool can be had.

AGGREGATE [by (labels)] (metric[{label="value", …}]) OPERATOR number [or …]
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
_TERM: Final = re.compile(
    r"(?P<aggregate>max|min|sum)(?: by \((?P<by>[^)]*)\))? ?\((?P<metric>[a-z_]+)(?:\{(?P<selectors>[^}]*)\})?\)"
    r" (?P<operator>[<>=!]=?) (?P<number>[0-9.]+)"
)
_SELECTOR: Final = re.compile(r'([a-z_]+)(=|!=)"([^"]*)"')
_AGGREGATES: Final[dict[str, Callable[[list[float]], float]]] = {"max": max, "min": min, "sum": sum}
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def understood(expression: str) -> bool:
    return all(_TERM.fullmatch(term) for term in expression.split(" or "))


def fires(expression: str, scraped: str) -> list[dict[str, str]]:
    """The labels of each alert that the expression gives for what one scrape of one instance had."""
    found = []
    for term in expression.split(" or "):
        parts = _TERM.fullmatch(term)
        assert parts is not None, term
        by = [label.strip() for label in (parts["by"] or "").split(",") if label.strip()]
        groups: dict[Labels, list[float]] = {}
        for family in text_string_to_metric_families(scraped):
            for sample in family.samples:
                if sample.name == parts["metric"] and _selected(parts["selectors"] or "", sample.labels):
                    labels = {"instance": "one", **sample.labels}
                    groups.setdefault(tuple((name, labels.get(name, "")) for name in by), []).append(sample.value)
        for key, values in groups.items():
            if _OPERATORS[parts["operator"]](_AGGREGATES[parts["aggregate"]](values), float(parts["number"])):
                found.append(dict(key))
    return found


def _selected(selectors: str, labels: dict[str, str]) -> bool:
    return all((labels.get(name, "") == value) is (sign == "=") for name, sign, value in _SELECTOR.findall(selectors))
