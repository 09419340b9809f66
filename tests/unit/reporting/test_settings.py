"""The configuration in a report: every setting, with secrets hidden."""

from __future__ import annotations

import pytest

from backfill.migration_report.settings import masked, settings_facts, versions
from proxy.base.config import Settings, load


def test_every_setting_is_listed_and_secrets_are_hidden() -> None:
    found = {
        one.name: one
        for one in settings_facts(
            load(
                dsn="postgresql://me:s3cret@db:5432/x?sslpassword=s3cret",
                origin_password="s3cret",
                services={"/a": "http://u:s3cret@h/"},
                batch=7,
            )
        )
    }
    assert set(found) == set(Settings.model_fields)
    assert not [one for one in found.values() if "s3cret" in one.value]
    assert found["dsn"].value == "postgresql://me:***@db:5432/x?sslpassword=***"
    assert found["services"].value == "/a: http://u:***@h/"
    assert (found["batch"].value, found["batch"].changed) == ("7", True)
    assert (found["lease"].changed, found["origin_password"].value) == (False, "***")


def test_a_password_that_is_not_set_is_not_hidden() -> None:
    assert next(one.value for one in settings_facts(load()) if one.name == "origin_password") == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h:1/", "http://h:1/"),
        ("http://me@h/", "http://me@h/"),
        ("http://me:a:b@h/", "http://me:***@h/"),
        ("postgresql:///x?password=a&y=1", "postgresql:///x?password=***&y=1"),
    ],
)
def test_passwords_in_urls(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_versions_state_what_was_not_reached() -> None:
    found = dict(versions(None, "3.12.4"))
    assert (found["PostgreSQL"], found["ArangoDB"]) == ("not reached", "3.12.4")
