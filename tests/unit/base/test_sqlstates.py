"""The table of reactions to errors of PostgreSQL."""

from __future__ import annotations

import asyncpg
import pytest

from proxy.base.database import translate
from proxy.base.errors import DatabaseUnavailable, StatementError, error_label
from proxy.base.session_settings import statements
from proxy.base.sqlstates import Reaction, is_a_conflict, meaning, of_a_document, reaction


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("25006", Reaction.RENEW),  # read-only
        ("57P01", Reaction.RENEW),  # ended by an administrator
        ("57P02", Reaction.RENEW),
        ("57P03", Reaction.RENEW),
        ("08006", Reaction.RENEW),
        ("28P01", Reaction.RENEW),  # a changed password
        ("42P05", Reaction.RENEW),  # prepared statements with poolers
        ("26000", Reaction.RENEW),
        ("53300", Reaction.RENEW),  # too many connections
        ("55006", Reaction.AGAIN),
        ("57014", Reaction.AGAIN),
        ("55P03", Reaction.AGAIN),
        ("40P01", Reaction.AGAIN),
        ("53100", Reaction.AGAIN),
        ("22P05", Reaction.DOCUMENT),
        ("23514", Reaction.DOCUMENT),
        ("54000", Reaction.DOCUMENT),
        ("P0001", Reaction.DOCUMENT),
        ("CF001", Reaction.DOCUMENT),  # of a trigger's own choice
        ("38000", Reaction.DOCUMENT),
        ("42501", Reaction.REFUSE),
        ("42P01", Reaction.REFUSE),
        ("0A000", Reaction.REFUSE),
        ("", Reaction.REFUSE),
    ],
)
def test_the_reaction_to_an_error(sqlstate: str, expected: Reaction) -> None:
    assert reaction(sqlstate) is expected


def test_refusals_of_a_document_and_of_a_statement() -> None:
    assert of_a_document("23514")
    assert not of_a_document("42P01")
    assert is_a_conflict("40P01")
    assert not is_a_conflict("57014")


def test_transient_errors_are_not_refusals_and_are_explained() -> None:
    found = translate(asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"))
    assert isinstance(found, DatabaseUnavailable)
    assert found.sqlstate == "25006"
    assert "default_transaction_read_only" in str(found)
    assert error_label(found) == "DatabaseUnavailable 25006"
    assert isinstance(translate(asyncpg.InvalidPasswordError("no")), DatabaseUnavailable)
    assert isinstance(translate(asyncpg.DeadlockDetectedError("no")), StatementError)
    assert isinstance(translate(asyncpg.InvalidCachedStatementError("cached plan")), DatabaseUnavailable)


def test_a_pooler_in_the_wrong_mode_is_named() -> None:
    assert "session mode" in meaning("42P05")
    assert "session mode" in meaning("26000")
    assert "session mode" in meaning("08P01")


def test_a_setting_of_a_newer_postgresql_is_not_sent_to_an_older_one() -> None:
    assert "transaction_timeout" not in statements(16).replace("idle_in_transaction_session_timeout", "")
    assert "SET transaction_timeout = '0'" in statements(17)
