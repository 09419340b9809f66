"""Archives: collections as compressed JSON Lines with checksums and a manifest, and back (DESIGN section 10).

    cli          `crossfade archive export | import | verify`; progress draws the bars; cli_output: answers
    export       a store's documents into an archive, part by part; resumable
    import_      an archive into a store, never over a newer version; the target itself says what is left to do
    verify       every line against its checksum; compare: an archive against a store, in key order
    sources      what is read from: ArangoDB, PostgreSQL
    arango_target, postgres_target what is written into
    reader       lines of a part, and what is damaged, by file, line and key
    writer       a part: written beside, synced, renamed
    manifest     what an archive holds, as values     storage    the folder: lock, atomic files
    digest       the checksum of a set of documents   isolate    finds the documents that a store refuses
    server       the few requests to ArangoDB that python-arango would not send byte for byte
    compression  zstandard

An archive is a folder: `manifest.json`, and for each collection `DATABASE/COLLECTION/part-000001.jsonl.zst`, one
document a line as ArangoDB printed it, in byte order of keys; beside each part `part-000001.sums.zst`, one line a
document: 16 hexadecimal digits of its sha256, its decoded revision, its key. `zstd -d` and `sha256sum` read it all.
"""
