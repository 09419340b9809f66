"""Of the gates: data that is missing or bad must never pass (I9, I10), and `--force` must not reach what keeps I7."""

from tests.faults.mutations import Mutant

_GATES = "tests/unit/control/gates/test_gates.py"
_EACH = f"{_GATES}::test_each_gate"
_SHAPES = "proxy/control/gates/shape_gates.py"
_OUTSIDE = "proxy/control/gates/origin_gates.py"
_COPY = "proxy/control/gates/gates.py"

MUTANTS = (
    Mutant(
        "no data passes",
        _SHAPES,
        "    if settled < n:\n",
        "    if 0 < settled < n:\n",
        _EACH,
    ),
    Mutant(
        "a mismatch is let through", _SHAPES, "if evidence.mismatched or evidence.open_mismatches:", "if False:", _EACH
    ),
    Mutant(
        "kinds that are open do not count",
        _SHAPES,
        "if evidence.mismatched or evidence.open_mismatches:",
        "if evidence.mismatched:",
        _EACH,
    ),
    Mutant(
        "too much may stay unsettled",
        _SHAPES,
        "evidence.unsettled > limits.unsettled_share * evidence.compared",
        "evidence.unsettled > 10 * limits.unsettled_share * evidence.compared",
        _EACH,
    ),
    Mutant(
        "what did not settle is evidence",
        _SHAPES,
        "settled = evidence.compared - evidence.unsettled",
        "settled = evidence.compared",
        _EACH,
    ),
    Mutant(
        "what did not settle is evidence of a shape",
        "proxy/control/gates/gate_types.py",
        "return self.recent - self.unsettled",
        "return self.recent",
        _EACH,
    ),
    Mutant(
        "a shape that was never compared is overlooked",
        _SHAPES,
        "missing = [shape for shape in _judged(evidence) if not shape.compared]",
        "missing = [shape for shape in _judged(evidence) if not shape.compared and shape.seen > 1000]",
        _EACH,
    ),
    Mutant(
        "a waiver is not asked for",
        _SHAPES,
        "[shape for shape in evidence.shapes if shape.exempt is None]",
        "[shape for shape in evidence.shapes if shape.exempt is None and shape.compared]",
        _EACH,
    ),
    Mutant(
        "a collection without reads is covered",
        _SHAPES,
        "    if not evidence.shapes:\n        return Gate(\n            name, GateVerdict.INCONCLUSIVE, "
        '"no read was seen", threshold, "let clients read it through a proxy"\n        )\n    exempt =',
        "    exempt =",
        _EACH,
    ),
    Mutant(
        "comparisons from before the last reset count",
        _SHAPES,
        "few = [shape for shape in shapes if shape.settled < n]",
        "few = [shape for shape in shapes if shape.compared < n]",
        _EACH,
    ),
    Mutant(
        "the slow side is not looked at",
        _SHAPES,
        "if target > max(limits.slowdown * origin, limits.min_p99_seconds):",
        "if origin > max(limits.slowdown * target, limits.min_p99_seconds):",
        _EACH,
    ),
    Mutant(
        "one sample makes a p99",
        _SHAPES,
        "or shape.timed < limits.shape_comparisons:",
        "or shape.timed < 1:",
        _EACH,
    ),
    Mutant(
        "nobody needs to watch", _OUTSIDE, "    if watch is None:\n", "    if watch is None and run is None:\n", _EACH
    ),
    Mutant(
        "a watch that stands still is believed",
        _OUTSIDE,
        "if watch.behind > limits.bypass_lag_seconds:",
        "if watch.behind > 100 * limits.bypass_lag_seconds:",
        _EACH,
    ),
    Mutant(
        "what was written before the watch is not asked for",
        _OUTSIDE,
        "if run is None or run.started_at < watch.since:",
        "if run is None:",
        _EACH,
    ),
    Mutant(
        "a bypass is forgotten as soon as it is repaired",
        _OUTSIDE,
        "if not one.repaired or run is None or one.found_at >= run.started_at]",
        "if not one.repaired]",
        _EACH,
    ),
    Mutant(
        "an origin that lost writes is ready",
        _OUTSIDE,
        "    if origin.lost:\n",
        "    if len(origin.lost) > 10:\n",
        _EACH,
    ),
    Mutant("an origin that is away is ready", _OUTSIDE, "    if origin.trouble:\n", "    if False:\n", _EACH),
    Mutant(
        "a verification from before the last proxy counts",
        _COPY,
        "if evidence.last_joined is not None and run.started_at < evidence.last_joined:",
        "if evidence.last_joined is None:",
        _EACH,
    ),
    Mutant(
        "a mark is covered by any verification",
        _COPY,
        "if run is not None and run.unverified_before >= mark.id:",
        "if run is not None:",
        _EACH,
    ),
    Mutant(
        "a silent proxy is current", _COPY, "elif instance.lease_left <= 0:", "elif instance.lease_left <= -60:", _EACH
    ),
    Mutant("a diverged proxy is current", _COPY, "        if instance.diverged:\n", "        if False:\n", _EACH),
    Mutant(
        "no proxy is no backlog",
        _COPY,
        'return Gate(name, GateVerdict.INCONCLUSIVE, "no instance", threshold, "start a proxy")',
        'return Gate(name, GateVerdict.PASSED, "no instance", threshold)',
        _EACH,
    ),
    Mutant(
        "force goes past a backlog",
        _COPY,
        '    "caught up": "a backlog',
        '    "caught-up": "a backlog',
        f"{_GATES}::test_force_goes_past_all_but_those_that_keep_clients_own_writes_visible",
    ),
    Mutant(
        "force goes past everything",
        _COPY,
        "(g.protects_reads or not force))",
        "not force)",
        f"{_GATES}::test_force_goes_past_all_but_those_that_keep_clients_own_writes_visible",
    ),
    Mutant(
        "inconclusive is good enough",
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
        "reads before the shadow are not seen",
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
