"""The write-ahead log: which writes were forwarded to ArangoDB and may not be in PostgreSQL yet (I3).

journal             intents on disk before a write is forwarded, closed when PostgreSQL has it
records             the file format, and the four types of what an intent is about; pure
segment             one file of it; segment_list: all of them; manifest: which files there must be
recovery            what an earlier process left; lock: one process at a time
intent              a write under way, and how it ends
intent_index        what is open in memory, by collection and key, and who waits for it
dirty_collections   the collections that a stop of the machine may have cost since the last sync
unjournaled_marker  a file that says that writes were forwarded while the journal could not be written

Terms: *intent*: a record with the collection and the keys of one write, never its documents. *Held*: this process
handles it. *Spilled*: it is in the journal alone, and is read again from ArangoDB. *Complete*: PostgreSQL has it, or
nothing was written, or a mark or dead letter says that PostgreSQL lacks it. *Opaque*: what it wrote is not known by
key, so that its collections get a mark. *Sync point*: everything before is on disk, even if the machine stops.
"""
