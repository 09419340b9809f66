"""The admin API of a running proxy, called as its OpenAPI description states and otherwise: no undescribed answer."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.fuzz.servers import FuzzServers


def test_every_admin_response_matches_its_openapi_description(servers: FuzzServers) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{servers.admin}/openapi.json")
    paths = []
    for found in schema.get_all_operations():
        operation: Any = found
        operation = operation.ok()
        paths.append(operation.path)

        @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(timeout=20)
            servers.check()

        ask()
    assert {"/metrics", "/status", "/trace", "/healthz", "/readyz"} <= set(paths)
