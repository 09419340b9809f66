"""Cases as data: requests and the answers that ArangoDB gives, run against any `Handler`.

Each folder in `cases/` is one case: `steps.json` is `{"name", "steps", "root_password"?}` (with a password the server
checks credentials), and a step `{"send", "body" | "text" | "hex", "headers", "user", "status", "answer", "has", "raw",
"etag", "location", "headers_out", "empty"}`. `send` is "METHOD target"; `user` is "name:password". Strings in an
answer: `<rev>`, `<id>` (digits), `<text>`, `<any>`; `<save NAME>` keeps the value, and `${NAME}` stands for it later
on. `answer` is the whole body, `has` a part of an object, `headers_out` headers of the answer.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.model.message import Handler, Request, Response

CASES = Path(__file__).parent / "cases"
_SENT = ("send", "headers", "user", "body", "text", "hex")
_REVISION = re.compile(r"_[A-Za-z0-9_\-]{10}")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. root_password: of a server that checks credentials, or None."""

    name: str
    steps: list[dict[str, Any]]
    root_password: str | None = None


def load() -> list[Case]:
    """Return every case, in the order of the folders' names."""
    return [Case(**json.loads(file.read_text("utf-8"))) for file in sorted(CASES.glob("*/steps.json"))]


async def run(handler: Handler, steps: list[dict[str, Any]]) -> None:
    """Send the steps of one case in order, and check each answer."""
    saved: dict[str, Any] = {}
    for number, step in enumerate(steps, 1):
        response = await handler(_request(_fill({part: step.get(part) for part in _SENT if part in step}, saved)))
        where = f"step {number}, {step['send']}: {response.status} {response.body!r}"
        assert response.status == step["status"], where
        if step.get("empty"):
            assert response.body == b"", where
        assert isinstance(response.body, bytes)
        if "answer" in step:
            _match(step["answer"], json.loads(response.body), saved, where)
            if isinstance(step["answer"], dict):
                assert list(step["answer"]) == list(json.loads(response.body)), f"order of attributes: {where}"
        if "raw" in step:
            assert response.body.decode() == _fill(step["raw"], saved), where
        if "has" in step:
            value = json.loads(response.body)
            _match(step["has"], {name: value.get(name) for name in step["has"]}, saved, where)
        _check_headers(step, response, saved, where)


def _request(step: dict[str, Any]) -> Request:
    method, _, target = step["send"].partition(" ")
    headers = [(name.encode(), value.encode()) for name, value in step.get("headers", {}).items()]
    if "user" in step:
        headers.append((b"authorization", b"Basic " + base64.b64encode(step["user"].encode())))
    body = step["text"].encode() if "text" in step else bytes.fromhex(step.get("hex", ""))
    if "body" in step:
        body = json.dumps(step["body"]).encode()
    return Request(method, target.encode(), headers, body)


def _check_headers(step: dict[str, Any], response: Response, saved: dict[str, Any], where: str) -> None:
    for name in ("etag", "location", "x-arango-error-codes"):
        value = response.header(name.encode())
        if name in step:
            assert value is not None, f"no {name}: {where}"
            _match(step[name], value.decode(), saved, where)
        elif name != "x-arango-error-codes" and step.get("bare"):
            assert value is None, f"{name}: {where}"
    for name, expected in step.get("headers_out", {}).items():
        value = response.header(name.encode())
        assert value is not None, f"no {name}: {where}"
        _match(expected, value.decode(), saved, where)


def _match(expected: Any, actual: Any, saved: dict[str, Any], where: str) -> None:
    if isinstance(expected, str) and "${" in expected:
        expected = _fill(expected, saved)
    if isinstance(expected, str) and expected.startswith("<"):
        if expected == "<rev>":
            assert isinstance(actual, str), where
            assert _REVISION.fullmatch(actual.strip('"')), where
        elif expected == "<id>":
            assert isinstance(actual, str), where
            assert actual.isdigit(), where
        elif expected == "<text>":
            assert isinstance(actual, str), where
            assert actual, where
        elif expected.startswith("<save "):
            saved[expected[6:-1]] = actual
        else:
            assert expected == "<any>", f"unknown placeholder {expected}"
    elif isinstance(expected, dict):
        assert isinstance(actual, dict), where
        assert expected.keys() == actual.keys(), f"{sorted(expected)} is not {sorted(actual)}: {where}"
        for name, value in expected.items():
            _match(value, actual[name], saved, where)
    elif isinstance(expected, list):
        assert isinstance(actual, list), where
        assert len(expected) == len(actual), where
        for left, right in zip(expected, actual, strict=True):
            _match(left, right, saved, where)
    else:
        assert type(expected) is type(actual), f"{expected!r} is not {actual!r}: {where}"
        assert expected == actual, f"{expected!r} is not {actual!r}: {where}"


def _fill(value: Any, saved: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: str(saved[match[1]]), value)
    if isinstance(value, dict):
        return {name: _fill(item, saved) for name, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, saved) for item in value]
    return value
