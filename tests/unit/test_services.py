"""Service paths: what becomes a label, and what does not."""

from __future__ import annotations

from proxy.services import Services


def test_only_paths_where_something_was_found_become_labels() -> None:
    """Probes and mistypings name routes without end; what stands in them is nobody's to keep."""
    services = Services({})
    assert services._label("GET /wp-admin", 404) == "other"
    assert services._label("GET /resumes", 401) == "other"
    assert services._label("GET /resumes", 200) == "GET /resumes"
    assert services._label("GET /resumes", 404) == "GET /resumes"
    assert services._label("POST /resumes", 500) == "POST /resumes"


def test_labels_have_a_limit() -> None:
    services = Services({})
    labels = {services._label(f"GET /{number}", 200) for number in range(2000)}
    assert len(labels) == 501
