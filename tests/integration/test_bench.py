"""The benchmarks run and measure what they promise, briefly."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_the_transport_benchmark_runs_without_a_failed_request() -> None:
    command = [sys.executable, "-m", "bench.proxy", "--variant", "bare", "--seconds", "0.1", "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for kind in ("reads", "writes"):
        rows = {row["name"]: row for row in report[kind]}
        assert rows["bare"]["rate"] > 0
        assert rows["bare"]["cpu_us"] > 0
        assert rows["bare"]["memory_mib"] > 0
        assert all(row["failed"] == 0 for row in rows.values())


@pytest.mark.long
def test_the_aql_benchmark_compares_with_handwritten_sql() -> None:
    command = [sys.executable, "-m", "bench.aql", "--documents", "3000", "--sizes", "", "--rounds", "3", "--json"]
    command += ["--scan", "3000", "--corpus", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["understanding"]["texts"] == 3
    (one,) = report["lists"]
    assert one["same_rows"]
    assert min(one["compiled_ratio"], one["as_text_ratio"], one["through_ratio"]) > 0
    assert report["scan"]["rows"] == 3000


def test_the_wire_benchmark_compares_parsing_with_scanning() -> None:
    command = [sys.executable, "-m", "bench.wire", "--seconds", "0.2", "--calls", "100", "--connections", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert len(figures) == 7
    assert all(figure["value"] > 0 and figure["beside"] > 0 for figure in figures)


@pytest.mark.long
def test_the_benchmark_of_postgresql_alone_compares_with_statements_by_hand() -> None:
    command = [sys.executable, "-m", "bench.postgres_alone", "--documents", "20", "--rounds", "1", "--clients", "4"]
    command += ["--modified", "50", "--json", "--part", "documents", "--part", "bulk", "--part", "queries"]
    command += ["--part", "reads", "--part", "unique"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert len(figures) == 9
    assert all(figure["ratio"] > 0 for figure in figures)
