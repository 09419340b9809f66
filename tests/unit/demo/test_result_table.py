"""The table at the end: good only if all of it is true."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from deploy.demo.db_checks import Comparison, DirectError, fetch_json
from deploy.demo.result_table import RunFigures, report, scrape
from deploy.demo.stack import answers
from deploy.demo.traffic_stats import TrafficTally


def good() -> RunFigures:
    return RunFigures(
        tally=TrafficTally(requests=1000, writes=300, cut=3, seconds={"direct": [0.002], "shadow": [0.003]}),
        mirrored=310,
        found=2,
        explained=1,
        repaired=2,
        refused_flips=2,
        compared=7000,
        profiles=(180, 180, 180),
        comparisons=[Comparison("atspro/resumes", documents=2000, identical=1999)],
        seeded={"a changed value": True, "a missing document": True},
        latency={"direct": (2.0, 5.0), "shadow": (3.0, 9.5)},
        seconds=120,
    )


def printed(outcome: RunFigures) -> str:
    console = Console(file=io.StringIO(), width=120)
    report(console, outcome)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_is_true() -> None:
    assert good().good()
    text = printed(good())
    assert "NO" not in text
    assert "1,000 (300 writes)" in text
    assert "p50 +1.0 ms, p99 +4.5 ms" in text
    assert "2,000: 0 differ, 1,999 the same to the byte" in text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda o: o.tally.failed.append("shadow: an error"),
        lambda o: o.tally.wrong.append("shadow: resumes/1: other content"),
        lambda o: o.lost.append("atspro/resumes/1: not what was acknowledged"),
        lambda o: setattr(o, "server_errors", 1),
        lambda o: setattr(o, "mirrored", 0),
        lambda o: setattr(o, "explained", 0),
        lambda o: setattr(o, "repaired", 1),
        lambda o: setattr(o, "refused_flips", 1),
        lambda o: setattr(o, "profiles", (180, 180, 179)),
        lambda o: setattr(o, "profiles", (0, 0, 0)),
        lambda o: setattr(o, "comparisons", []),
        lambda o: o.comparisons[0].missing.append("m"),
        lambda o: o.comparisons[0].extra.append("x"),
        lambda o: o.comparisons[0].different.append("d"),
        lambda o: setattr(o, "seeded", {}),
        lambda o: setattr(o, "seeded", {"a changed value": False}),
    ],
)
def test_one_thing_that_is_not_true_is_enough(spoil: Callable[[RunFigures], None]) -> None:
    outcome = good()
    spoil(outcome)
    assert not outcome.good()
    assert "NO" in printed(outcome)


def test_troubles_are_listed_and_many_are_cut_short() -> None:
    outcome = good()
    outcome.tally.failed += [f"trouble {n}" for n in range(30)]
    outcome.comparisons[0].missing.append("m")
    text = printed(outcome)
    assert "trouble 3" in text
    assert "and 11 more" in text


METRICS = """# HELP crossfade_requests_total x
# TYPE crossfade_requests_total counter
crossfade_requests_total{endpoint="document.read",status="2xx",served_by="target"} 12.0
crossfade_journal_open_intents 3.0
"""


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/metrics": METRICS, "/status": '{"backlog": 0}'}.get(self.path, "no")
            self.send_response(503 if self.path == "/away" else 404 if body == "no" else 200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_metrics_are_read_with_their_labels(server: str) -> None:
    assert scrape(server) == [
        (
            "crossfade_requests_total",
            {"endpoint": "document.read", "status": "2xx", "served_by": "target"},
            12.0,
        ),
        ("crossfade_journal_open_intents", {}, 3.0),
    ]


def test_whether_a_server_answers(server: str) -> None:
    assert answers(server, "/status", 200)
    assert answers(server, "/nowhere")
    assert not answers(server, "/nowhere", 200)
    assert not answers(server, "/away")
    assert not answers("http://127.0.0.1:1", "/")
    assert not answers("https://127.0.0.1:1", "/")


def test_status_is_json_or_an_error_that_says_so(server: str) -> None:
    assert fetch_json(server, "/status") == {"backlog": 0}
    with pytest.raises(DirectError, match="/nowhere does not answer"):
        fetch_json(server, "/nowhere")
