"""Archives: collections as compressed JSON Lines with checksums and a manifest, and back (DESIGN section 10).

    cli                `crossfade archive export | import | verify`; progress: progress bars; cli_output: results
    export             writes the documents of a database into an archive, part by part; resumable
    import_            writes an archive into a database, never over a newer version; the target shows what is left
    verify             checks every line against its checksum; compare: an archive against a database, in key order
    sources            the databases that an export reads: ArangoDB, PostgreSQL
    targets            the interface of what an import writes to: arango_target, postgres_target
    reader             reads the lines of a part, and reports damage by file, line and key
    writer             writes a part under a temporary name, syncs it, renames it
    manifest           the contents of an archive, as values
    storage            the folder: its lock, atomic files
    server             the few requests to ArangoDB that python-arango would not send byte for byte
    compression        zstandard

An archive is a folder: `manifest.json`, and for each collection `DATABASE/COLLECTION/part-000001.jsonl.zst`, one
document on each line as ArangoDB printed it, in byte order of keys. Beside each part is `part-000001.sums.zst`, with
one line for each document: 16 hexadecimal digits of its sha256, its decoded revision, its key. `zstd -d` and
`sha256sum` read it all.

Terms: *part*: one file of documents; *sums*: the checksums of its lines; *manifest*: what belongs to the archive.
"""
