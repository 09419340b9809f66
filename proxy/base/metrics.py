"""Every metric of Crossfade, in one place: the only module that imports prometheus-client.

Labels are bounded: collections, endpoints, routes and classes, never keys or values of documents.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"crossfade_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"crossfade_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"crossfade_{name}", text, labels, registry=REGISTRY, buckets=_FAST)


class Traffic(Collector):
    """Requests and their seconds, counted with one look-up and no lock: it is on the path of every request.

    One thread observes. Collected as the counter `crossfade_requests_total` (endpoint, status, served_by) and the
    histogram `crossfade_request_seconds` (endpoint, served_by).
    """

    LABELS = {
        "crossfade_requests": ("endpoint", "status", "served_by"),
        "crossfade_request_seconds": ("endpoint", "served_by"),
    }

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int, str], list[float]] = {}
        self._buckets = len(_FAST) + 1

    def observe(self, endpoint: str, status: int, served_by: str, seconds: float) -> None:
        """One answered request. A cell holds the sum of seconds, then the number in each bucket, the last unbounded."""
        key = (endpoint, status // 100, served_by)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = [0.0] * (1 + self._buckets)
        cell[0] += seconds
        cell[1 + bisect_left(_FAST, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        requests = CounterMetricFamily(
            "crossfade_requests",
            "Requests answered, by endpoint, status class and who answered",
            labels=self.LABELS["crossfade_requests"],
        )
        seconds = HistogramMetricFamily(
            "crossfade_request_seconds", "Time to answer a request", labels=self.LABELS["crossfade_request_seconds"]
        )
        merged: dict[tuple[str, str], list[float]] = {}
        for (endpoint, status, served_by), cell in sorted(self._cells.items()):
            requests.add_metric([endpoint, f"{status}xx", served_by], sum(cell[1:]))
            known = merged.setdefault((endpoint, served_by), [0.0] * len(cell))
            merged[endpoint, served_by] = [a + b for a, b in zip(known, cell, strict=True)]
        bounds = [*map(str, _FAST), "+Inf"]
        for labels, cell in merged.items():
            seconds.add_metric(
                list(labels), list(zip(bounds, itertools.accumulate(cell[1:]), strict=True)), sum_value=cell[0]
            )
        yield requests
        yield seconds


class Comparisons(Collector):
    """What the shadow did, counted with one look-up and no lock: at full sampling it happens once a read.

    One thread counts. Collected as `crossfade_compared_total` (collection, verdict) and
    `crossfade_shadow_skipped_total` (collection, reason).
    """

    LABELS = {"crossfade_compared": ("collection", "verdict"), "crossfade_shadow_skipped": ("collection", "reason")}

    def __init__(self) -> None:
        self._compared: dict[tuple[str, str], int] = {}
        self._skipped: dict[tuple[str, str], int] = {}

    def compared(self, collection: str, verdict: str, number: int = 1) -> None:
        """So many comparisons with that verdict."""
        key = (collection, verdict)
        self._compared[key] = self._compared.get(key, 0) + number

    def skipped(self, collection: str, reason: str, number: int = 1) -> None:
        """Reads that were not compared."""
        key = (collection, reason)
        self._skipped[key] = self._skipped.get(key, 0) + number

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        for name, text, cells in (
            ("crossfade_compared", "Shadow comparisons by verdict", self._compared),
            ("crossfade_shadow_skipped", "Reads that were not compared, by reason", self._skipped),
        ):
            family = CounterMetricFamily(name, text, labels=self.LABELS[name])
            for labels, number in sorted(cells.items()):
                family.add_metric(list(labels), number)
            yield family


Samples = Mapping[str, Mapping[tuple[str, ...], float]]


class ControlPlane(Collector):
    """States that PostgreSQL holds, as the last look found them: gauges, and what is counted there.

    The whole is replaced with each look, so that what is gone (a collection, a mark) leaves no series behind.
    """

    LABELS = {
        "crossfade_rollbacks": ("by",),
        "crossfade_taken_back": ("collection", "by"),
        "crossfade_unverified": ("collection",),
        "crossfade_dead_documents": ("collection",),
        "crossfade_open_mismatches": ("collection",),
        "crossfade_written_around": ("collection",),
        "crossfade_guard_armed": ("collection",),
        "crossfade_stage": ("collection",),
        "crossfade_weight_percent": ("collection",),
        "crossfade_instances": ("state",),
        "crossfade_watch_alive": (),
        "crossfade_watch_behind_seconds": (),
        "crossfade_control_plane_age_seconds": (),
    }
    TEXTS = {
        "crossfade_rollbacks": "Times that reads were taken back, by whom: operator, guard, instance",
        "crossfade_taken_back": "1 where reads were taken back by no operator, until acknowledged or flipped again",
        "crossfade_unverified": "Marks that no verification has covered yet: the collection may have missed a write",
        "crossfade_dead_documents": "Documents that PostgreSQL cannot hold",
        "crossfade_open_mismatches": "Kinds of mismatches that are neither repaired nor ignored",
        "crossfade_written_around": "Documents written around the proxies and not repaired",
        "crossfade_guard_armed": "1 while a guard takes reads back by itself",
        "crossfade_stage": "Stage of a collection: 0 off, 1 mirror, 2 shadow, 3 flipped, 4 promoted, 5 complete",
        "crossfade_weight_percent": "Share of reads that is meant for PostgreSQL",
        "crossfade_instances": "Registered instances by state",
        "crossfade_watch_alive": "1 while every mirrored collection is watched for writes around the proxies",
        "crossfade_watch_behind_seconds": "Seconds since the moment up to which the watch has judged everything",
        "crossfade_control_plane_age_seconds": "Seconds since these states were read from PostgreSQL",
    }

    def __init__(self) -> None:
        self._samples: Samples = {}
        self._at: float | None = None

    def replace(self, samples: Samples, *, at: float) -> None:
        """What the look found that ended at that monotonic time."""
        self._samples, self._at = samples, at

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets. Before the first look nothing: a 0 would be a guess."""
        age = {} if self._at is None else {(): time.monotonic() - self._at}
        for name, labels in self.LABELS.items():
            kind = CounterMetricFamily if name == "crossfade_rollbacks" else GaugeMetricFamily
            family = kind(name, self.TEXTS[name], labels=labels)
            samples = age if name == "crossfade_control_plane_age_seconds" else self._samples.get(name, {})
            for values, number in itertools.islice(sorted(samples.items()), _MOST_COLLECTIONS):
                family.add_metric(list(values), number)
            yield family


_MOST_COLLECTIONS = 2000

# traffic
TRAFFIC = Traffic()
REGISTRY.register(TRAFFIC)
SERVICE_REQUESTS = _counter("service_requests_total", "Requests on service paths", "route", "status")
SERVICE_SECONDS = _histogram("service_seconds", "Time to answer on service paths", "route")
UPSTREAM_ERRORS = _counter("upstream_errors_total", "Requests that a server behind did not answer", "upstream", "kind")
GAPS = _counter("gaps_total", "Requests that were neither captured nor compared (I10)", "endpoint", "effect")
WAIT_SECONDS = _histogram("wait_seconds", "Time that requests waited before an answer, by what for", "reason")
# mirror
MIRRORED = _counter("mirrored_total", "Changes applied to PostgreSQL", "collection", "kind")
REFUSED = _counter("mirror_refused_total", "Applies that the horizon refused, to be read again", "collection")
REPAIRED = _counter("repaired_total", "Keys repaired by reading the origin again", "collection")
DEAD_LETTERS = _counter("dead_letters_total", "Documents that PostgreSQL cannot hold", "collection")
UNVERIFIED = _counter("unverified_marks_total", "Marks of collections as unverified", "collection")
OPEN_INTENTS = _gauge("open_intents", "Intents in the journal that are not settled")
QUEUED = _gauge("queued_documents", "Documents waiting in memory for PostgreSQL")
LAG_SECONDS = _gauge("mirror_lag_seconds", "Age of the oldest open intent")
APPLY_SECONDS = _histogram("apply_seconds", "Time of one batch into PostgreSQL")
# shadow
SHADOW = Comparisons()
REGISTRY.register(SHADOW)
TARGET_SECONDS = _histogram("target_seconds", "Time of a read on PostgreSQL", "collection")
MISMATCH_RATE = _gauge(
    "mismatch_rate", "Confirmed mismatches / (matched + confirmed) since the last epoch or repair", "collection"
)
# control plane
CONTROL_PLANE = ControlPlane()
REGISTRY.register(CONTROL_PLANE)
EPOCH = _gauge("epoch", "The epoch that this instance behaves by")
GENERATION = _gauge("generation", "The generation that this instance behaves by")
TARGET_INSTEAD = _counter(
    "target_instead_total", "Reads of flipped collections that PostgreSQL did not answer", "reason"
)
WORKER_LIMITS = _counter(
    "worker_limits_total",
    "Work in worker processes that came to no end: over a limit, or with no room",
    "lane",
    "reason",
)
LEASE_OK = _gauge("lease_ok", "1 while this instance may serve reads from PostgreSQL")
DIVERGED = _gauge("diverged", "1 while this instance is diverged")


_collections: set[str] = set()


def collection_label(collection: str) -> str:
    """The label of a collection that a client named; `other` beyond the bound: nobody makes series without end."""
    if collection not in _collections:
        if len(_collections) >= _MOST_COLLECTIONS:
            return "other"
        _collections.add(collection)
    return collection


def render() -> tuple[bytes, str]:
    """The text that Prometheus scrapes, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
