"""Mutants of the gates: missing or bad data must never pass (I9, I10), and `--force` must not override I7."""

from tests.faults.mutations import Mutant

_GATES = "tests/unit/control/gates/test_gates.py"
_COPY = "proxy/control/gates/gates.py"


def _rule(name: str) -> str:
    return f"proxy/control/gates/rules/{name}.py"


def _cases(name: str) -> str:
    return f"tests/unit/control/gates/test_{name}.py::test_cases"


MUTANTS = (
    Mutant(
        "no data passes",
        _rule("zero_mismatches"),
        "    if decided < n:\n",
        "    if 0 < decided < n:\n",
        _cases("zero_mismatches"),
    ),
    Mutant(
        "a mismatch is let through",
        _rule("zero_mismatches"),
        "if evidence.mismatched or evidence.open_mismatches:",
        "if False:",
        _cases("zero_mismatches"),
    ),
    Mutant(
        "kinds that are open do not count",
        _rule("zero_mismatches"),
        "if evidence.mismatched or evidence.open_mismatches:",
        "if evidence.mismatched:",
        _cases("zero_mismatches"),
    ),
    Mutant(
        "too much may stay undecided",
        _rule("rechecks_resolved"),
        "evidence.undecided > limits.undecided_share * evidence.compared",
        "evidence.undecided > 10 * limits.undecided_share * evidence.compared",
        _cases("rechecks_resolved"),
    ),
    Mutant(
        "what did not settle is evidence",
        _rule("zero_mismatches"),
        "decided = evidence.compared - evidence.undecided",
        "decided = evidence.compared",
        _cases("zero_mismatches"),
    ),
    Mutant(
        "what did not settle is evidence of a shape",
        "proxy/control/gates/gate_types.py",
        "return self.recent - self.undecided",
        "return self.recent",
        _cases("sample_size"),
    ),
    Mutant(
        "a shape that was never compared is overlooked",
        _rule("every_query_compared"),
        "missing = [shape for shape in judged(evidence) if not shape.compared]",
        "missing = [shape for shape in judged(evidence) if not shape.compared and shape.seen > 1000]",
        _cases("every_query_compared"),
    ),
    Mutant(
        "shapes that were never compared are not judged",
        "proxy/control/gates/shape_text.py",
        "[shape for shape in evidence.shapes if shape.exempt is None]",
        "[shape for shape in evidence.shapes if shape.exempt is None and shape.compared]",
        _cases("every_query_compared"),
    ),
    Mutant(
        "a collection without reads is covered",
        _rule("every_query_compared"),
        "    if not evidence.shapes:\n        return Gate(\n            NAME, GateVerdict.INCONCLUSIVE, "
        '"no read was seen", threshold, "let clients read it through a proxy"\n        )\n    exempt =',
        "    exempt =",
        _cases("every_query_compared"),
    ),
    Mutant(
        "comparisons from before the last reset count",
        _rule("sample_size"),
        "few = [shape for shape in shapes if shape.decided < n]",
        "few = [shape for shape in shapes if shape.compared < n]",
        _cases("sample_size"),
    ),
    Mutant(
        "the wrong side's latency is compared",
        _rule("latency_budget"),
        "if target > max(limits.slowdown * origin, limits.min_p99_seconds):",
        "if origin > max(limits.slowdown * target, limits.min_p99_seconds):",
        _cases("latency_budget"),
    ),
    Mutant(
        "one sample is enough for a p99",
        _rule("latency_budget"),
        "or shape.timed < limits.shape_comparisons:",
        "or shape.timed < 1:",
        _cases("latency_budget"),
    ),
    Mutant(
        "no out-of-band watch is needed",
        _rule("out_of_band"),
        "    if watch is None:\n",
        "    if watch is None and run is None:\n",
        _cases("out_of_band"),
    ),
    Mutant(
        "a stalled watch is accepted",
        _rule("out_of_band"),
        "if watch.behind > limits.bypass_lag_seconds:",
        "if watch.behind > 100 * limits.bypass_lag_seconds:",
        _cases("out_of_band"),
    ),
    Mutant(
        "writes from before the watch need no verification",
        _rule("out_of_band"),
        "if run is None or run.started_at < watch.since:",
        "if run is None:",
        _cases("out_of_band"),
    ),
    Mutant(
        "a repaired out-of-band write no longer blocks",
        _rule("out_of_band"),
        "if not one.repaired or run is None or one.found_at >= run.started_at",
        "if not one.repaired",
        _cases("out_of_band"),
    ),
    Mutant(
        "an origin that lost writes is ready",
        _rule("rollback_possible"),
        "    if origin.lost:\n",
        "    if len(origin.lost) > 10:\n",
        _cases("rollback_possible"),
    ),
    Mutant(
        "an unreachable origin is ready",
        _rule("rollback_possible"),
        "    if origin.trouble:\n",
        "    if False:\n",
        _cases("rollback_possible"),
    ),
    Mutant(
        "a verification from before the last proxy counts",
        _rule("verified"),
        "if evidence.last_joined is not None and run.started_at < evidence.last_joined:",
        "if evidence.last_joined is None:",
        _cases("verified"),
    ),
    Mutant(
        "a mark is covered by any verification",
        _rule("verification_current"),
        "if run is not None and run.unverified_before >= mark.id:",
        "if run is not None:",
        _cases("verification_current"),
    ),
    Mutant(
        "a silent proxy is current",
        _rule("instances_in_sync"),
        "elif instance.lease_left <= 0:",
        "elif instance.lease_left <= -60:",
        _cases("instances_in_sync"),
    ),
    Mutant(
        "a diverged proxy is current",
        _rule("instances_in_sync"),
        "        if instance.diverged:\n",
        "        if False:\n",
        _cases("instances_in_sync"),
    ),
    Mutant(
        "no proxy counts as an empty backlog",
        _rule("caught_up"),
        'return Gate(NAME, GateVerdict.INCONCLUSIVE, "no instance", threshold, "start a proxy")',
        'return Gate(NAME, GateVerdict.PASSED, "no instance", threshold)',
        _cases("caught_up"),
    ),
    Mutant(
        "force passes a backlog",
        _rule("caught_up"),
        'protects_reads="PostgreSQL does not',
        'protects_reads="" and "PostgreSQL does not',
        f"{_GATES}::test_force_goes_past_all_but_those_that_keep_clients_own_writes_visible",
    ),
    Mutant(
        "force passes every gate",
        _COPY,
        "(g.protected or not force))",
        "not force)",
        f"{_GATES}::test_force_goes_past_all_but_those_that_keep_clients_own_writes_visible",
    ),
    Mutant(
        "inconclusive counts as passed",
        _COPY,
        "all(gate.verdict is GateVerdict.PASSED for gate in gates)",
        "all(gate.verdict is not GateVerdict.FAILED for gate in gates)",
        f"{_GATES}::test_what_is_inconclusive_does_not_pass",
    ),
    Mutant(
        "an empty list of gates passes",
        _COPY,
        "return bool(gates) and all(",
        "return all(",
        f"{_GATES}::test_no_gates_are_no_pass",
    ),
    Mutant(
        "reads before the shadow stage are not counted",
        "proxy/gateway/answered_reads.py",
        "            self._coverage.read(collection, compared.endpoint.name, reason)\n",
        "            pass\n",
        "tests/integration/test_shapes.py::test_reads_are_seen_before_anything_is_compared",
    ),
    Mutant(
        "comparisons from before a repair are added",
        "sql/queries/coverage.sql",
        "WHERE clock_timestamp() - u.age * interval '1 second' >= k.since\n",
        "",
        "tests/integration/test_shapes.py::test_comparisons_from_before_a_reset_do_not_count",
    ),
)
