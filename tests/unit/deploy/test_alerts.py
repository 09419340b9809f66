"""Alerts fire for the first event: states are gauges, and the rules are evaluated on the first scrape that has one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from proxy.base import metrics
from proxy.operator.states import AutomaticRollback, families
from sql.statements.states import CollectionRow
from tests.unit.deploy.alerting import fires, understood

FILE = Path(__file__).parents[3] / "deploy/prometheus/alerts.yml"
RULES = {rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]}
ORDERS = "shop/orders"
QUIET: dict[str, Any] = {
    "collection": ORDERS, "stage": "shadow", "weight": 0, "unverified": 0, "dead": 0, "mismatches": 0, "out_of_band": 0,
    "armed": False, "watchable": True, "behind": 0.5,
}  # fmt: skip
BACK = AutomaticRollback(7, datetime(2026, 11, 22, tzinfo=UTC), "instance vm", "it came back", "instance", (ORDERS,))


def scraped(
    *, back: tuple[AutomaticRollback, ...] = (), instances: dict[str, int] | None = None, **collection: Any
) -> Iterator[str]:
    registry = CollectorRegistry()
    control = metrics.ControlPlane()
    registry.register(control)
    control.replace(
        families([CollectionRow(**{**QUIET, **collection})], instances or {"live": 2}, {}, back, 30.0), at=0.0
    )
    control._at = None  # how old it is, is a matter of its own
    yield generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("alert", "event", "labels"),
    [
        ("CrossfadeAutomaticRollback", {"back": (BACK,)}, {"collection": ORDERS, "by": "instance"}),
        ("CrossfadeDeadLetter", {"dead": 1}, {"collection": ORDERS}),
        ("CrossfadeUnverified", {"unverified": 1}, {"collection": ORDERS}),
        ("CrossfadeOutOfBandWrites", {"out_of_band": 1}, {"collection": ORDERS}),
        ("CrossfadeConfirmedMismatch", {"mismatches": 1}, {"collection": ORDERS}),
        ("CrossfadeBypassWatchDown", {"behind": None}, {}),
        ("CrossfadeBypassWatchDown", {"behind": 31.0}, {}),
        ("CrossfadeInstanceSilent", {"instances": {"live": 1, "silent": 1}}, {"state": "silent"}),
        ("CrossfadeInstanceSilent", {"instances": {"diverged": 1}}, {"state": "diverged"}),
    ],
)
def test_a_first_event_fires_and_ends_with_its_state(alert: str, event: dict[str, Any], labels: dict[str, str]) -> None:
    """One scrape is enough: no series needs to have been there before, and none says so when it is over."""
    (before,), (during,), (after,) = scraped(), scraped(**event), scraped()
    expression = RULES[alert]["expr"]
    assert fires(expression, before) == fires(expression, after) == []
    assert fires(expression, during) == [labels]


def test_no_alert_waits_for_an_increase_of_what_may_begin_with_its_first_event() -> None:
    """Requests that ArangoDB does not answer go on failing; everything else that is counted has a state beside it."""
    counted = {name: rule["expr"] for name, rule in RULES.items() if re.search(r"\b(rate|increase)\(", rule["expr"])}
    assert set(counted) == {"CrossfadeOriginErrors"}


def test_every_rule_on_a_state_is_evaluated_here() -> None:
    others = {"CrossfadeOriginErrors", "CrossfadeReadLeaseLost", "CrossfadeProxyDown"}
    assert {name for name, rule in RULES.items() if not understood(rule["expr"])} == others


def test_rollbacks_are_counted_from_zero_by_whom() -> None:
    (quiet,) = scraped()
    for by in ("operator", "auto_rollback", "instance"):
        assert f'crossfade_rollbacks_total{{by="{by}"}} 0.0' in quiet


def test_no_rule_depends_on_the_name_of_a_job() -> None:
    """A manifest's annotations make another job than a file of targets: the rules hold for both."""
    assert [name for name, rule in RULES.items() if "job=" in rule["expr"]] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
def test_prometheus_itself_takes_the_rules_and_agrees(tmp_path: Path) -> None:
    subprocess.run(["promtool", "check", "rules", str(FILE)], check=True, capture_output=True)
    annotations = RULES["CrossfadeProxyDown"]["annotations"] | {"summary": "Proxy a does not answer"}
    lost = RULES["CrossfadeAutomaticRollback"]["annotations"] | {
        "summary": f"Reads of {ORDERS} rolled back to ArangoDB by auto_rollback"
    }
    series = [
        {
            "series": f'crossfade_automatic_rollback{{collection="{ORDERS}",by="auto_rollback",instance="a"}}',
            "values": "_x4 1x4",
        },
        {"series": 'up{instance="a",job="kubernetes-pods"}', "values": "1x10 0x10"},
        {"series": 'crossfade_generation{instance="a",job="kubernetes-pods"}', "values": "1x10"},
        {"series": 'up{instance="b",job="other"}', "values": "0x20"},
    ]
    expected = [
        (
            "1m15s",
            "CrossfadeAutomaticRollback",
            {"severity": "warning", "collection": ORDERS, "by": "auto_rollback"},
            lost,
        ),
        ("4m", "CrossfadeProxyDown", {"severity": "critical", "instance": "a", "job": "kubernetes-pods"}, annotations),
    ]
    told = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": series,
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": name,
                        "exp_alerts": [{"exp_labels": labels, "exp_annotations": more}],
                    }
                    for at, name, labels, more in expected
                ],
            }
        ],
    }
    file = tmp_path / "alerts.yml"
    file.write_text(yaml.safe_dump(told))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
