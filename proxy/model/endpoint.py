"""Endpoint: what the proxy knows of one endpoint of ArangoDB's HTTP API. Plain values.

`wire.endpoints` holds the table of them, one row for each endpoint; an `Operation` carries its own.
All other modules use the facts of the row and never compare an endpoint's name: a new endpoint is then one row. Names
serve handler tables, metrics, logs and messages.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Effect(enum.Enum):
    """The effect of an endpoint on the data, by which routing begins."""

    READ = "read"  # one document or many, by key: can be compared
    WRITE = "write"  # documents, by key: captured and mirrored
    QUERY = "query"  # AQL: read or write, which only the analysis of its text shows
    CONTROL = "control"  # collections, databases, indexes: forwarded, and the mirror must know
    OPAQUE = "opaque"  # writes without documents by key: what is not captured becomes unverified (I10), see WriteRoute
    PASSTHROUGH = "passthrough"  # changes no document, and does not read documents by key: forwarded


class Family(enum.Enum):
    """The part of the API that an endpoint belongs to."""

    DOCUMENT = "document"
    QUERY = "query"  # running, explaining, and tracking AQL
    CURSOR = "cursor"  # continues or ends a cursor
    COLLECTION = "collection"
    INDEX = "index"
    DATABASE = "database"
    BULK = "bulk"  # imports, batches
    TRANSACTION = "transaction"
    EDGES = "edges"
    GRAPH = "graph"  # named graphs, and documents through them
    SIMPLE = "simple"  # the old queries without AQL
    USER = "user"
    JOB = "job"
    VIEW = "view"
    REPLICATION = "replication"
    SERVER = "server"
    SERVICE = "service"  # Foxx
    UNKNOWN = "unknown"


class Verb(enum.Enum):
    """The operation on the objects of a family, if the proxy distinguishes them."""

    OTHER = "other"
    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    REMOVE = "remove"
    CREATE = "create"
    TRUNCATE = "truncate"
    DROP = "drop"
    RENAME = "rename"
    NEXT = "next"
    BEGIN = "begin"
    COMMIT = "commit"
    ABORT = "abort"


class WriteRoute(enum.Enum):
    """The rule that routes a write: which collections it may write, and what forbids its capture.

    `routing.write_routes` has a table of the rules. Most kinds of write need none of their own: AS_NAMED.
    """

    NONE = "none"  # it writes no document, or nothing that is mirrored
    AS_NAMED = "as named"  # captured if the headers allow it; it writes the collections that the request names
    DOCUMENT = "document"  # the same for documents by key, whose answers show what was written whatever most headers
    IMPORT = "import"  # as named; not captured without the name of a collection
    COLLECTION = "collection"  # as named; a rename to the present name changes nothing
    GRAPH_DOCUMENT = "graph document"  # one document through a named graph, and the edges that go with it
    GRAPH_DEFINITION = "graph definition"  # a document of `_graphs`; may create and drop collections
    WHOLE_DATABASE = "whole database"  # captured whatever the headers; it may write any collection of the database
    INDEX = "index"  # not captured if documents expire by it: they are removed unseen
    UNCAPTURED = "uncaptured"  # what it may have written becomes unverified
    QUERY = "query"  # whether it writes, the text of a query shows: `query_routes`


class Read(enum.Enum):
    """The way in which an endpoint reads documents."""

    NONE = "none"
    DOCUMENT = "document"  # one, by key
    HEAD = "head"  # its revision alone
    MANY = "many"  # a list of keys
    QUERY = "query"  # AQL
    QUERY_LIKE = "query-like"  # many documents in other words than a query's: routed as queries are
    GRAPH_DOCUMENT = "graph document"  # one, by key, through a named graph
    UNCOMPARED = "uncompared"  # documents that nothing compares

    @property
    def by_key(self) -> bool:
        """True if the request names every document that it reads."""
        return self in (Read.DOCUMENT, Read.HEAD, Read.MANY, Read.GRAPH_DOCUMENT)

    @property
    def reworded(self) -> bool:
        """True if the read is compared as the document read or the query that it is equivalent to."""
        return self in (Read.QUERY_LIKE, Read.GRAPH_DOCUMENT)


class Refusal(enum.Enum):
    """The conclusion from an error (4xx) of ArangoDB about the writes of its request (`capture.refusals`)."""

    ATOMIC = "atomic"  # nothing was written
    QUERY = "query"  # nothing only if it was never run
    SCRIPTED_TRANSACTION = "scripted transaction"  # nothing, but for intermediate commits
    BATCH = "batch"  # parts may have run before one that could not be read
    SCRIPT = "script"  # the status is the script's own, but for ArangoDB's router
    INSTALLATION = "installation"  # of a Foxx service, whose script may have run
    SERVICE = "service"  # the answer is a Foxx service's own, but for ArangoDB's refusals
    UNKNOWN = "unknown"


class InTransaction(enum.Enum):
    """The role of a write in the stream transaction that its headers name."""

    NO = "no"
    PART = "part"
    UNSURE = "unsure"  # it may be carried out immediately, whatever becomes of the transaction


class CollectionIn(enum.Enum):
    """The part of a request that names its collection."""

    PATH = "path"
    QUERY = "query"  # in the path, or as the parameter `collection` of the query string
    BODY = "body"  # the attribute `collection` of its body
    BODY_NAME = "body name"  # the attribute `name` of its body: the collection's new name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: its name, and all facts that the proxy decides by.

    write_route: the rule that routes a write. capture: the kind of a write that can be captured: the name of the module
    of `proxy.capture.kinds` that carries it out.
    collection_at: the place of the collection among the path's segments after `/_db/{db}`; -1 if the path has none.
    changes_rights: it may change who may read what. needs_user: its meaning depends on who asks, so that the
    Authorization header is kept. needs_index: an error if no index serves it, which PostgreSQL does not know: ArangoDB
    answers it at every stage. explains: its body is a query, which it does not run. no_match: 404 without ArangoDB's
    number for a missing document means that none matched.
    """

    name: str
    effect: Effect
    family: Family
    verb: Verb = Verb.OTHER
    write_route: WriteRoute = WriteRoute.NONE
    capture: str = ""
    read: Read = Read.NONE
    refusal: Refusal = Refusal.ATOMIC
    in_transaction: InTransaction = InTransaction.NO
    collection_in: CollectionIn = CollectionIn.PATH
    collection_at: int = -1
    changes_rights: bool = False
    needs_user: bool = False
    needs_index: bool = False
    explains: bool = False
    no_match: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a kind of write that nothing would route to its module (I10)."""
        captured = self.write_route not in (WriteRoute.NONE, WriteRoute.INDEX, WriteRoute.UNCAPTURED)
        if captured != bool(self.capture):
            raise ValueError(
                f"endpoint {self.name}: write_route {self.write_route.name} with capture={self.capture!r}: "
                "a write that can be captured needs both a route and a kind, any other neither"
            )
