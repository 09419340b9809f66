"""Service paths and labels of metrics: what becomes a label, and what does not."""

from __future__ import annotations

import pytest

from proxy.base import metrics
from proxy.gateway.service_proxy import Forwarding, Routes, Services, forwarded


def test_only_paths_where_something_was_found_become_labels() -> None:
    """Probes and typos name routes without end, and may hold secrets: they are not kept."""
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


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (b"/resumes/17/versions?full=1", "GET /resumes/{id}/versions"),
        (b"/v2/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "GET /v2/users/{id}"),
        (b"/users/a1b2", "GET /users/{id}"),
        (b"/users/ann@example.org/mail", "GET /users/{id}/mail"),
        (b"/users/J%C3%BCrgen", "GET /users/{id}"),
        (b"/orders/ORD-2024-7", "GET /orders/{id}"),
        (b"/files/" + b"x" * 40, "GET /files/{id}"),
        (b"/files/\xff\xfe", "GET /files/{id}"),
        (b"/", "GET /"),
    ],
)
def test_what_is_no_word_of_an_api_is_an_id(target: bytes, route: str) -> None:
    assert Routes().of("GET", target, found=True) == route


def test_words_that_are_too_many_are_names_of_things() -> None:
    """Values of documents never become labels (DESIGN section 13); how many words may, is bounded at every place."""
    routes = Routes()
    names = [f"user-{chr(97 + number % 26)}{chr(97 + number // 26)}".encode() for number in range(200)]
    seen = {routes.of("GET", b"/people/" + name + b"/cv", found=True) for name in names}
    assert "GET /people/{id}/cv" in seen
    assert len(seen) <= 17
    assert routes.of("GET", b"/people/user-aa/cv") == "GET /people/{id}/cv"
    assert routes.of("GET", b"/people", found=True) == "GET /people"


def test_probes_teach_nothing() -> None:
    routes = Routes()
    for number in range(1000):
        routes.of("GET", f"/wp-{chr(97 + number % 26) * (1 + number // 26 % 20)}".encode())
    assert routes.of("GET", b"/resumes", found=True) == "GET /resumes"
    assert routes.of("GET", b"/resumes/list", found=True) == "GET /resumes/list"


def test_collections_that_clients_name_make_no_series_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_collections", set())
    labels = {metrics.collection_label(f"_system/{number}") for number in range(3000)}
    assert len(labels) == 2001
    assert metrics.collection_label("_system/7") == "_system/7"
    assert metrics.collection_label("_system/2999") == "other"


CAME: list[tuple[bytes, bytes]] = [
    (b"Host", b"api.example"),
    (b"X-Forwarded-For", b"203.0.113.9"),
    (b"x-forwarded-for", b"198.51.100.7"),
    (b"X-Forwarded-Proto", b"https"),
    (b"Forwarded", b"for=203.0.113.9"),
    (b"Accept", b"*/*"),
]


@pytest.mark.parametrize(
    ("forwarding", "made"),
    [
        (
            "append",
            {
                b"x-forwarded-for": b"203.0.113.9, 198.51.100.7, 192.0.2.1",
                b"x-forwarded-proto": b"https",
                b"x-forwarded-host": b"api.example",
                b"forwarded": b"for=203.0.113.9",
            },
        ),
        (
            "replace",
            {
                b"x-forwarded-for": b"192.0.2.1",
                b"x-forwarded-proto": b"http",
                b"x-forwarded-host": b"api.example",
            },
        ),
    ],
)
def test_what_a_service_is_told_of_its_client(forwarding: Forwarding, made: dict[bytes, bytes]) -> None:
    headers = forwarded(CAME, "192.0.2.1", b"http", forwarding)
    assert headers[:2] == [(b"Host", b"api.example"), (b"Accept", b"*/*")]
    assert dict(headers[2:]) == made


def test_forwarding_can_be_off_and_a_client_without_an_address_adds_none() -> None:
    assert forwarded(CAME, "192.0.2.1", b"http", "off") is CAME
    assert dict(forwarded([(b"Host", b"a")], "", b"http", "append")) == {
        b"Host": b"a",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"a",
    }


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_names_with_underscores_do_not_pass_for_what_the_proxy_sets(mode: Forwarding) -> None:
    sent = [(b"Host", b"h"), (b"X_Forwarded_For", b"6.6.6.6"), (b"X-Forwarded_Proto", b"https"), (b"X_Other", b"1")]
    made = forwarded(sent, "10.0.0.1", b"http", mode)
    names = {name.lower().replace(b"_", b"-"): value for name, value in made}
    assert len(names) == len(made)
    assert names[b"x-forwarded-for"] == b"10.0.0.1"
    assert names[b"x-forwarded-proto"] == b"http"
    assert names[b"x-other"] == b"1"
