"""The write-ahead log: which writes were forwarded to ArangoDB and may not be in PostgreSQL yet (I3).

journal             intents on disk before a write is forwarded, closed when PostgreSQL has it
segment, records    one file of it; its format, pure; manifest: which files there must be
intent              a write under way, and how it ends
intent_index        what is open in memory, by collection and key, and who waits for it
dirty_collections   what a stop of the machine may have cost since the last sync
unjournaled_marker  a file that says that writes were forwarded while the journal could not be written

Terms: *intent*: a record with the collection and the keys of one write, never its documents. *Applied*: PostgreSQL has
it. *Opaque*: what it wrote is not known by key, so that its collections get a mark.
"""
