"""Real records for the demo: the JSON databases that PyPI packages ship, read as they are from the packages.

Languages (ISO 639-3) and subdivisions (ISO 3166-2) of pycountry, the licence index of license-expression, and the
names of emoji in fourteen languages. They contain what generated data do not: nulls, nested lists, right-to-left and
combining scripts, keys with dots and plus signs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from proxy.base.errors import ConfigurationError

Document = dict[str, Any]

DATABASE: Final = "reference"
EMOJI_LANGUAGES: Final = ("ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
_COMPONENT, _QUALIFIED = 1, 2  # of the package's `status`; the others are shorter spellings of the same emoji


def languages() -> list[Document]:
    """Return 7,923 languages, by their three-letter code."""
    return [{"_key": entry["alpha_3"], **entry} for entry in _load("pycountry", "databases/iso639-3.json")["639-3"]]


def subdivisions() -> list[Document]:
    """Return 5,046 provinces, states, districts; by code, with the country's code beside it."""
    return [
        {"_key": entry["code"], "country": entry["code"].partition("-")[0], **entry}
        for entry in _load("pycountry", "databases/iso3166-2.json")["3166-2"]
    ]


def licences() -> list[Document]:
    """Return 2,579 licences, with nulls and nested lists."""
    return [
        {"_key": entry["license_key"], **entry}
        for entry in _load("license_expression", "data/scancode-licensedb-index.json")
    ]


def emoji() -> list[Document]:
    """Return every emoji with its names; the key is its code points in hex, `1F947-1F3FB`."""
    names = {code: _load("emoji", f"unicode_codes/emoji_{code}.json") for code in EMOJI_LANGUAGES}
    return [
        {
            "_key": "-".join(f"{ord(character):X}" for character in symbol),
            "symbol": symbol,
            "since": entry["E"],
            "names": {"en": entry["en"]} | {code: table.get(symbol) for code, table in names.items()},
            "aliases": entry.get("alias", []),
        }
        for symbol, entry in _load("emoji", "unicode_codes/emoji.json").items()
        if entry["status"] in (_COMPONENT, _QUALIFIED)
    ]


def collections() -> Iterator[tuple[str, list[Document]]]:
    """Yield (name in the database `reference`, its documents), one after the other."""
    yield "languages", languages()
    yield "subdivisions", subdivisions()
    yield "licences", licences()
    yield "emoji", emoji()


def _load(package: str, path: str) -> Any:
    try:
        text = resources.files(package).joinpath(path).read_text("utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ConfigurationError(
            f"the demo reads {path} of the package {package}: `pip install 'crossfade[demo]'` brings it ({error})"
        ) from error
    return json.loads(text)
