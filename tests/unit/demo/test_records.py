"""The real records are read as the packages ship them, with keys that ArangoDB takes."""

from __future__ import annotations

import re

import pytest

from deploy.demo import records
from proxy.base.errors import ConfigurationError

KEY = re.compile(r"[A-Za-z0-9_\-:.@()+,=;$!*'%]{1,254}")


def test_there_are_fifteen_thousand_records_and_the_emoji() -> None:
    counts = {name: len(documents) for name, documents in records.collections()}
    assert counts["languages"] >= 7900
    assert counts["subdivisions"] >= 5000
    assert counts["licences"] >= 2500
    assert counts["emoji"] >= 3900


@pytest.mark.parametrize(
    ("name", "documents"), list(records.collections()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_keys_are_legal_and_no_two_are_the_same(name: str, documents: list[records.Document]) -> None:
    keys = [document["_key"] for document in documents]
    assert all(KEY.fullmatch(key) for key in keys), name
    assert len(set(keys)) == len(keys)


def test_licences_have_nulls_and_nested_lists() -> None:
    licences = records.licences()
    assert any(licence["spdx_license_key"] is None for licence in licences)
    assert any(licence["other_spdx_license_keys"] for licence in licences)


def test_an_emoji_is_known_by_its_code_points_and_named_in_a_dozen_scripts_and_more() -> None:
    medal = next(entry for entry in records.emoji() if entry["_key"] == "1F947")
    assert medal["symbol"] == "\N{FIRST PLACE MEDAL}"
    assert medal["names"].keys() == {"en", *records.EMOJI_LANGUAGES}
    assert any("ء" <= character <= "ي" for character in medal["names"]["ar"])


def test_a_package_that_is_missing_is_named_with_its_cure() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'crossfade\[demo\]'"):
        records._load("no_such_package", "x.json")
