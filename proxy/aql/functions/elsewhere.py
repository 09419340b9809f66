"""Functions that are known by name and have no implementation here."""

from __future__ import annotations

from proxy.aql.functions.registry import Arguments, without_implementation

# they read documents, which `proxy.aql.execution.calls` does as far as it is implemented
without_implementation("DOCUMENT", arguments=(1, 2), fetches=True)
without_implementation("COLLECTION_COUNT", arguments=1, fetches=True)
without_implementation("COLLECTIONS", arguments=0, fetches=True)
without_implementation("SHARD_ID", arguments=2, fetches=True)
without_implementation("SCHEMA_GET", arguments=1, fetches=True)

# not implemented
without_implementation("MINHASH", "SCHEMA_VALIDATE", arguments=2)
without_implementation("MAKE_DISTRIBUTE_INPUT", arguments=3)

# not supported: they need a search, geo, full-text or vector index, or another subsystem
_UNSUPPORTED: dict[Arguments, tuple[str, ...]] = {
    (1, 2): ("TOKENS", "TFIDF", "GEO_AREA", "PREGEL_RESULT"),
    (1, 3): ("EXISTS", "BM25"),
    (1, None): ("SCORER",),
    (2, 3): ("IS_IN_POLYGON", "GEO_DISTANCE", "APPROX_NEAR_COSINE", "APPROX_NEAR_L2", "APPROX_NEAR_INNER_PRODUCT"),
    (2, 4): ("NGRAM_MATCH",),
    (2, None): ("PHRASE", "MIN_MATCH"),
    (3, 4): ("MINHASH_MATCH", "FULLTEXT"),
    (3, 5): ("NEAR",),
    (3, 6): ("LEVENSHTEIN_MATCH",),
    (4, 5): ("WITHIN",),
    (4, 7): ("GEO_IN_RANGE",),
    1: ("GEO_MULTIPOINT", "GEO_POLYGON", "GEO_MULTIPOLYGON", "GEO_LINESTRING", "GEO_MULTILINESTRING", "V8"),
    2: ("ANALYZER", "BOOST", "OFFSET_INFO", "GEO_CONTAINS", "GEO_INTERSECTS", "GEO_EQUALS", "GEO_POINT"),
    5: ("WITHIN_RECTANGLE",),
}
_TAKES_COLLECTION = frozenset({"FULLTEXT", "NEAR", "WITHIN", "WITHIN_RECTANGLE", "PREGEL_RESULT"})

for _arguments, _names in _UNSUPPORTED.items():
    for _name in _names:
        without_implementation(
            _name, arguments=_arguments, takes_collection=_name in _TAKES_COLLECTION, supported=False
        )
