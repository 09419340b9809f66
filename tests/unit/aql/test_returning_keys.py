"""Modifications that also return the keys of what they wrote."""

from __future__ import annotations

import pytest

from proxy.aql import parse
from proxy.aql.returning_keys import Keyed, keyed, shows_versions


def told(text: str) -> Keyed:
    found = keyed(parse(text))
    assert isinstance(found, Keyed), found
    parse(found.text)  # it is a query
    return found


def test_a_query_without_rows_returns_only_keys() -> None:
    found = told("FOR d IN books FILTER d.old REMOVE d IN books")
    assert found.text.endswith("LET written0_0 = OLD._key RETURN [written0_0]")
    assert (found.collections, found.removes, found.returns, found.once) == (("books",), (True,), False, False)


def test_rows_contain_the_keys_after_the_clients_value() -> None:
    found = told("UPSERT {n: 1} INSERT {n: 1} UPDATE {m: OLD.m + 1} IN @@c LET x = NEW.m SORT x RETURN {x, old: OLD}")
    assert found.text.endswith('RETURN [{"x": x, "old": OLD}, written0_0]')
    assert (found.collections, found.returns, found.once) == (("@@c",), True, True)


def test_each_of_several_modifications_returns_its_key() -> None:
    found = told("FOR d IN a UPDATE d WITH {n: 1} IN a INSERT {of: NEW._key} INTO log RETURN NEW._key")
    assert found.collections == ("a", "log")
    assert found.text.endswith("RETURN [NEW._key, written0_0, written0_1]")
    assert found.text.index("LET written0_0 = NEW._key") < found.text.index("INSERT")


def test_names_of_the_query_are_not_reused() -> None:
    assert "LET written1_0 = NEW._key" in told("LET written0_0 = 1 INSERT {n: written0_0} INTO a").text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("LET x = (INSERT {} INTO a RETURN NEW) RETURN x", "modification in a subquery"),
        ("FOR d IN a UPDATE d WITH {n: 1} IN a LIMIT 1 RETURN NEW", "LIMIT after a modification"),
        ("FOR d IN a UPDATE d WITH {n: 1} IN a FILTER NEW.n RETURN NEW", "FILTER after a modification"),
        ("FOR d IN a REMOVE d IN a FOR x IN 1..2 RETURN x", "FOR after a modification"),
        ("FOR d IN a REMOVE d IN a COLLECT n = OLD.n RETURN n", "COLLECT after a modification"),
        ("FOR d IN a REMOVE d IN a RETURN DISTINCT OLD.n", "RETURN DISTINCT after a modification"),
    ],
)
def test_what_would_lose_keys_is_named(text: str, reason: str) -> None:
    assert keyed(parse(text)) == reason


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("INSERT {} INTO c", "[NEW._key, null, NEW]"),
        ("INSERT {} INTO c OPTIONS {ignoreErrors: true}", "[NEW._key, null, NEW]"),
        ("INSERT {} INTO c OPTIONS {overwriteMode: 'ignore'}", "[NEW._key, null, NEW]"),
        ("INSERT {} INTO c OPTIONS {overwriteMode: 'update'}", "[NEW._key, OLD, NEW]"),
        ("FOR d IN c UPDATE d WITH {} IN c", "[NEW._key, OLD, NEW]"),
        ("FOR d IN c REMOVE d IN c", "[OLD._key, OLD, null]"),
        ("UPSERT {} INSERT {} UPDATE {} IN c", "[NEW._key, OLD, NEW]"),
    ],
)
def test_versions_are_returned_where_arangodb_has_them(text: str, row: str) -> None:
    query = parse(text)
    found = keyed(query, versions=True)
    assert shows_versions(query)
    assert not isinstance(found, str)
    assert row.replace(" ", "") in found.text.replace(" ", "")


@pytest.mark.parametrize("options", ["{overwriteMode: @m}", "{overwrite: true}", "{[@m]: 'update'}"])
def test_versions_are_not_returned_if_a_text_does_not_tell_whether_there_is_an_old_one(options: str) -> None:
    assert not shows_versions(parse(f"INSERT {{}} INTO c OPTIONS {options}"))
