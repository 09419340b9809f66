"""Parsers of test reports: JUnit's XML (pytest, Maven), mocha's JSON and the events of `go test -json`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.acceptance.drivers.case import Outcome, Result

_MESSAGE_LENGTH: Final = 600  # characters that are kept of a failure


class ReportError(Exception):
    """A suite left no report: it did not run. The text is the end of its output."""


def junit(files: Iterable[Path], printed: str) -> list[Result]:
    """Return the test cases of JUnit files, named `class::name`. Raise ReportError if there are none."""
    found: dict[str, Result] = {}
    for file in files:
        if file.is_file():
            for case in ElementTree.parse(file).iter("testcase"):
                result = _junit_case(case)
                # a test that passes and whose teardown fails is in the report twice
                if result.name not in found or result.outcome is Outcome.FAILED:
                    found[result.name] = result
    if not found:
        raise ReportError(printed[-2000:])
    return list(found.values())


def _junit_case(case: ElementTree.Element) -> Result:
    name = f"{case.get('classname', '')}::{case.get('name', '')}"
    for kind in ("failure", "error"):
        bad = case.find(kind)
        if bad is not None:
            return Result(name, Outcome.FAILED, f"{bad.get('message') or ''}\n{bad.text or ''}"[:_MESSAGE_LENGTH])
    return Result(name, Outcome.SKIPPED if case.find("skipped") is not None else Outcome.PASSED)


def mocha(report: Path, everything: Path, printed: str) -> list[Result]:
    """Return the tests of a run, named `file::title`.

    `everything`: a dry run's report, which names those that a failed hook prevented: they have failed.
    """
    if not report.is_file() or not everything.is_file():
        raise ReportError(printed[-2000:])
    run = json.loads(report.read_text("utf-8"))
    failures = {_mocha_name(test): _mocha_message(test) for test in run["failures"]}
    passed = {_mocha_name(test) for test in run["passes"]}
    pending = {_mocha_name(test) for test in run["pending"]}
    found: list[Result] = []
    for name in dict.fromkeys(_mocha_name(test) for test in json.loads(everything.read_text("utf-8"))["tests"]):
        if name in failures:
            found.append(Result(name, Outcome.FAILED, failures[name]))
        elif name in passed:
            found.append(Result(name, Outcome.PASSED))
        elif name in pending:
            found.append(Result(name, Outcome.SKIPPED))
        else:
            hooks = [message for hook, message in failures.items() if '" hook' in hook and _same_file(hook, name)]
            found.append(Result(name, Outcome.FAILED, f"not run: {hooks[0] if hooks else 'the run ended before it'}"))
    return found


def golang(printed: str) -> list[Result]:
    """The tests of a run that have none below them, named with slashes, of the events that it printed a line each.

    A test that did not end, because the run crashed or its time was up, has failed. One that has others below it is
    a test of its own where it failed and none of those did.
    """
    output: dict[str, list[str]] = {}
    ended: dict[str, Outcome] = {}
    for line in printed.splitlines():
        event = _go_event(line)
        name = event.get("Test")
        if not name:
            continue
        lines = output.setdefault(name, [])
        if event.get("Action") == "output":
            lines.append(event.get("Output", ""))
        elif event.get("Action") in _GO_ENDS:
            ended[name] = _GO_ENDS[event["Action"]]
    failed = {name for name in output if ended.get(name, Outcome.FAILED) is Outcome.FAILED}
    found = []
    for name, lines in output.items():
        below = [other for other in output if other.startswith(f"{name}/")]
        if not below or (name in failed and failed.isdisjoint(below)):
            text = "".join(lines) if name in ended else f"did not end\n{''.join(lines)}"
            found.append(
                Result(name, ended.get(name, Outcome.FAILED), text[:_MESSAGE_LENGTH] if name in failed else "")
            )
    return found


_GO_ENDS: Final = {"pass": Outcome.PASSED, "fail": Outcome.FAILED, "skip": Outcome.SKIPPED}


def _go_event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}  # what the tool itself prints
    return event if isinstance(event, dict) else {}


def _same_file(left: str, right: str) -> bool:
    return left.partition("::")[0] == right.partition("::")[0]


def _mocha_name(test: dict[str, Any]) -> str:
    return f"{Path(test.get('file') or '').stem}::{test['fullTitle']}"


def _mocha_message(test: dict[str, Any]) -> str:
    error = test.get("err") or {}
    return str(error.get("stack") or error.get("message") or "")[:_MESSAGE_LENGTH]
