"""The rules of ArangoDB's operations, which both stores follow: the development server and PostgreSQL.

Pure: a collection is what a store has loaded of it, behind a Protocol.

document_writes   the endpoints that write documents: parsed, given keys, carried out
imports           `/_api/import`, likewise
large_writes      requests with large bodies, as sequences of smaller ones
body_parts        cuts their bodies
import_formats    the formats of its bodies
document_answers  the answers to both
query_writes      the writes that AQL queries request
write_document    writes one document: keys, locks, revisions, and the decision of write_rules
write_rules       what a write makes of one document: the decision alone
writable          the Protocol of a collection
unique_index      values of documents in unique indexes, and the refusal of a value that another document has
computed_values   attributes that AQL expressions give
expiry            when a document of a TTL index expires
schema            schema validation of a collection: levels, errors
json_schema       the rule of one: JSON Schema as ArangoDB applies it
key_generator     keys that the server makes, and the check of keys that clients send
encoded_document  what is read of a document without parsing it
request_params    values of requests, in the type that is needed
attributes        attributes of JSON objects that clients send, likewise

Terms: *prepared*: of a request, that each of its documents has its key, or the error that refuses it. *Decision*: what
a write makes of a stored document, or the error; it changes nothing. *Entry*: a value in a unique index with the
document that has it.
"""
