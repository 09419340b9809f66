"""All metrics of Crossfade: the only module that imports prometheus-client.

REGISTRY belongs to the process: all listeners and instances in it (tests start several) count here. Labels are bounded:
collections, endpoints, routes and closed sets of reasons, never keys or values of documents.

FAMILIES describes each metric once; docs/metrics.md is generated from it (proxy/operator/reference.py).
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy import __version__

REGISTRY = CollectorRegistry()
_MOST_COLLECTIONS: Final = 2000  # series of one metric
_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class MetricFamily(NamedTuple):
    """One metric. name: as in /metrics, without the suffixes of a counter or histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]


FAMILIES: dict[str, MetricFamily] = {}


def _describe(name: str, kind: Literal["counter", "gauge", "histogram"], text: str, *labels: str) -> MetricFamily:
    family = MetricFamily(f"crossfade_{name}", kind, text, labels)
    FAMILIES[family.name] = family
    return family


def _counter(name: str, text: str, *labels: str) -> Counter:
    family = _describe(name.removesuffix("_total"), "counter", text, *labels)
    return Counter(family.name, text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(_describe(name, "gauge", text, *labels).name, text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str) -> Histogram:
    family = _describe(name, "histogram", text, *labels)
    return Histogram(family.name, text, labels, registry=REGISTRY, buckets=_BUCKETS)


class TrafficMetrics(Collector):
    """Requests and their durations, counted with one look-up and no lock, since every request passes here.

    Only one thread may observe.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int, str], list[float]] = {}
        self._buckets = len(_BUCKETS) + 1

    def observe(self, endpoint: str, status: int, served_by: str, seconds: float) -> None:
        """Count one answered request. A cell holds the sum of seconds, then the number in each bucket, +Inf last."""
        key = (endpoint, status // 100, served_by)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = [0.0] * (1 + self._buckets)
        cell[0] += seconds
        cell[1 + bisect_left(_BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the families for a scrape."""
        requests = CounterMetricFamily(_REQUESTS.name, _REQUESTS.text, labels=_REQUESTS.labels)
        seconds = HistogramMetricFamily(_REQUEST_DURATION.name, _REQUEST_DURATION.text, labels=_REQUEST_DURATION.labels)
        merged: dict[tuple[str, str], list[float]] = {}
        for (endpoint, status, served_by), cell in sorted(self._cells.items()):
            requests.add_metric([endpoint, f"{status}xx", served_by], sum(cell[1:]))
            known = merged.setdefault((endpoint, served_by), [0.0] * len(cell))
            merged[endpoint, served_by] = [a + b for a, b in zip(known, cell, strict=True)]
        bounds = [*map(str, _BUCKETS), "+Inf"]
        for labels, cell in merged.items():
            seconds.add_metric(
                list(labels), list(zip(bounds, itertools.accumulate(cell[1:]), strict=True)), sum_value=cell[0]
            )
        yield requests
        yield seconds


class Comparisons(Collector):
    """Shadow comparisons, counted with one look-up and no lock: at full sampling there is one for each read.

    Only one thread may count.
    """

    def __init__(self) -> None:
        self._compared: dict[tuple[str, str], int] = {}
        self._skipped: dict[tuple[str, str], int] = {}

    def compared(self, collection: str, verdict: str, number: int = 1) -> None:
        """Count `number` comparisons with that verdict."""
        key = (collection, verdict)
        self._compared[key] = self._compared.get(key, 0) + number

    def skipped(self, collection: str, reason: str, number: int = 1) -> None:
        """Count reads that were not compared."""
        key = (collection, reason)
        self._skipped[key] = self._skipped.get(key, 0) + number

    def collect(self) -> Iterator[Metric]:
        """Yield the families for a scrape."""
        for family, cells in ((_COMPARISONS, self._compared), (_SKIPPED_READS, self._skipped)):
            shown = CounterMetricFamily(family.name, family.text, labels=family.labels)
            for labels, number in sorted(cells.items()):
                shown.add_metric(list(labels), number)
            yield shown


Samples = Mapping[str, Mapping[tuple[str, ...], float]]


class ControlPlane(Collector):
    """States that PostgreSQL holds, as the last refresh found them.

    Each refresh replaces all of them, so that a collection or mark that is gone leaves no series.
    """

    def __init__(self) -> None:
        self._samples: Samples = {}
        self._at: float | None = None

    def replace(self, samples: Samples, *, at: float) -> None:
        """Take the result of a refresh that ended at that monotonic time."""
        self._samples, self._at = samples, at

    def collect(self) -> Iterator[Metric]:
        """Yield the families for a scrape; without samples before the first refresh, since a 0 would be a guess."""
        age = {} if self._at is None else {(): time.monotonic() - self._at}
        for family in _STATES:
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            shown = kind(family.name, family.text, labels=family.labels)
            samples = age if family is _STATES_AGE else self._samples.get(family.name, {})
            for values, number in itertools.islice(sorted(samples.items()), _MOST_COLLECTIONS):
                shown.add_metric(list(values), number)
            yield shown


# process
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)
_gauge("build_info", "1, labelled with the version that runs", "version").labels(__version__).set(1)
# traffic
_REQUESTS = _describe(
    "requests",
    "counter",
    "Answered requests, by endpoint, status class and the database that answered",
    "endpoint",
    "status",
    "served_by",
)
_REQUEST_DURATION = _describe(
    "request_duration_seconds", "histogram", "Time to answer a request", "endpoint", "served_by"
)
TRAFFIC = TrafficMetrics()
REGISTRY.register(TRAFFIC)
SERVICE_REQUESTS = _counter("service_requests_total", "Requests on service paths", "route", "status")
SERVICE_DURATION = _histogram("service_request_duration_seconds", "Time to answer a request on a service path", "route")
UPSTREAM_ERRORS = _counter(
    "upstream_errors_total", "Requests that ArangoDB or a service did not answer, by kind of error", "upstream", "kind"
)
UNCOVERED_REQUESTS = _counter(
    "uncovered_requests_total",
    "Requests that were neither captured nor compared; reason: not_captured, not_compared, passthrough",
    "endpoint",
    "reason",
)
UNSUPPORTED = _counter(
    "unsupported_requests_total", "Mode `complete`: requests for what PostgreSQL does not answer (501)", "endpoint"
)
WAIT_DURATION = _histogram("request_wait_duration_seconds", "Time for which requests waited, by reason", "reason")
# mirror
CHANGES_APPLIED = _counter(
    "mirror_changes_applied_total", "Changes applied to PostgreSQL; op: upsert, remove", "collection", "op"
)
STALE_REJECTS = _counter(
    "mirror_stale_rejects_total",
    "Changes that PostgreSQL rejected as stale (stamp floor, newer era); their keys are read again",
    "collection",
)
REPAIRED_KEYS = _counter(
    "mirror_repaired_keys_total", "Keys that were repaired by a new read from ArangoDB", "collection"
)
DEAD_LETTERS = _counter("dead_letters_total", "Versions of documents that PostgreSQL refused", "collection")
UNVERIFIED = _counter("unverified_marks_total", "Times that a collection was marked as unverified", "collection")
OPEN_INTENTS = _gauge(
    "journal_open_intents", "Intents in the journal that are not complete: writes that PostgreSQL may not have"
)
QUEUE_DOCUMENTS = _gauge("mirror_queue_documents", "Documents in memory that wait for PostgreSQL")
LAG_SECONDS = _gauge("mirror_lag_seconds", "Age of the oldest open intent")
BATCH_DURATION = _histogram("mirror_batch_duration_seconds", "Time to apply one batch to PostgreSQL")
# reverse mirror
REVERSE_ROWS = _gauge("reverse_backlog_rows", "Writes of PostgreSQL that ArangoDB does not have yet")
REVERSE_LAG = _gauge("reverse_lag_seconds", "Age of the oldest write that ArangoDB does not have yet")
REVERSE_REFUSED = _gauge(
    "reverse_refused_documents", "Documents (or whole collections) that ArangoDB refuses; they prevent a demotion"
)
REVERSE_PUSHES = _counter(
    "reverse_pushes_total",
    "Transactions that carried writes to ArangoDB, by their end: `pushed`; `unique` and `busy` are conflicts",
    "end",
)
REVERSE_DOCUMENTS = _counter("reverse_documents_total", "Documents that were carried to ArangoDB")
REVERSE_LEASES = _counter("reverse_leases_total", "Times that this instance became the applier of the reverse mirror")
REVERSE_PUSH_DURATION = _histogram("reverse_push_duration_seconds", "Time of one transaction of the reverse mirror")
# shadow
_COMPARISONS = _describe("shadow_comparisons", "counter", "Shadow comparisons by verdict", "collection", "verdict")
_SKIPPED_READS = _describe(
    "shadow_skipped_reads", "counter", "Reads that were not compared, by reason", "collection", "reason"
)
SHADOW = Comparisons()
REGISTRY.register(SHADOW)
TARGET_READ_DURATION = _histogram(
    "shadow_target_read_duration_seconds", "Time to read PostgreSQL for a comparison", "collection"
)
REHEARSALS = _counter(
    "write_rehearsals_total",
    "Writes that the rules of PostgreSQL alone decided a second time: `equal` to ArangoDB's answer, or `different`",
    "collection",
    "verdict",
)
REHEARSALS_WITHOUT_VERDICT = _counter(
    "write_rehearsals_without_verdict_total", "Writes that could not be rehearsed, by reason", "reason"
)
MISMATCH_RATE = _gauge(
    "mismatch_rate",
    "Confirmed mismatches / (matched + confirmed), since the last change of stage or repair",
    "collection",
)
# control plane
_STATES_AGE = _describe("control_plane_age_seconds", "gauge", "Seconds since the states were read from PostgreSQL")
_STATES: Final = (
    _describe("rollbacks", "counter", "Rollbacks of reads to ArangoDB; by: operator, auto_rollback, instance", "by"),
    _describe(
        "automatic_rollback",
        "gauge",
        "1 after reads were rolled back without an operator, until they are flipped again or acknowledged",
        "collection",
        "by",
    ),
    _describe(
        "unverified",
        "gauge",
        "Needs-verification marks since the last verification: a write may be missing",
        "collection",
    ),
    _describe("dead_letter_documents", "gauge", "Documents that PostgreSQL refused and does not have", "collection"),
    _describe("open_mismatches", "gauge", "Distinct mismatches that are neither repaired nor ignored", "collection"),
    _describe(
        "out_of_band_writes", "gauge", "Documents that were written out of band and are not repaired", "collection"
    ),
    _describe("auto_rollback_armed", "gauge", "1 while automatic rollback is armed", "collection"),
    _describe("stage", "gauge", "Stage: 0 off, 1 mirror, 2 shadow, 3 flipped, 4 promoted, 5 complete", "collection"),
    _describe("flip_percent", "gauge", "Percentage of reads that PostgreSQL serves", "collection"),
    _describe("instances", "gauge", "Registered proxies; state: live, silent, diverged", "state"),
    _describe("out_of_band_watch_alive", "gauge", "1 while each mirrored collection is watched for out-of-band writes"),
    _describe("out_of_band_watch_lag_seconds", "gauge", "Seconds by which the judgement of the out-of-band watch lags"),
    _STATES_AGE,
)
CONTROL_PLANE = ControlPlane()
REGISTRY.register(CONTROL_PLANE)
EPOCH = _gauge("epoch", "Epoch at which this instance runs")
GENERATION = _gauge("generation", "Generation of the control row at which this instance runs")
READ_FALLBACKS = _counter(
    "read_fallbacks_total", "Reads of flipped collections that ArangoDB answered, by reason", "reason"
)
WORKER_LIMITS = _counter(
    "worker_limits_total",
    "Tasks that worker processes did not finish, because of a limit or because no worker was free",
    "lane",
    "reason",
)
READ_LEASE_HELD = _gauge("read_lease_held", "1 while this instance may serve reads from PostgreSQL")
DIVERGED = _gauge("diverged", "1 while this instance cannot reach PostgreSQL and reads from ArangoDB alone")


_collections: set[str] = set()


def collection_label(collection: str) -> str:
    """Return the label of a collection that a client named; `other` beyond the bound, so that series stay bounded."""
    if collection not in _collections:
        if len(_collections) >= _MOST_COLLECTIONS:
            return "other"
        _collections.add(collection)
    return collection


def render() -> tuple[bytes, str]:
    """Return the text that Prometheus scrapes, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
