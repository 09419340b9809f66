"""The reverse mirror while PostgreSQL takes the writes, as an explicit-state model: documents and whole collections.

    state.py        the state, the rules (each can be disabled) and the bounds of a run
    postgresql.py   transactions on documents, truncations, drops, renames, creations, indexes; the demotion
    appliers.py     appliers of the outbox, their pushes, and their requests that change a collection
    model.py        the first state, the properties, equal states as one
    runs.py         bounds that are explored, and what each rule is needed for

Documents are carried by pushes, which are stream transactions of ArangoDB and test the token of the part. A
truncation, a drop, a rename or a creation is a row of the outbox, and a request of its own to ArangoDB, which carries
no token. What that needs:
- An applier carries the changes of its part first, in the order of their places, and no documents while one waits. The
  states of documents are read after it, so that nothing has to be carried before. Or it carries earlier rows first, and
  later ones afterwards; but in a unique index an earlier row may need a value that only the change or a later row sets
  free. Then the present state of the key that holds the value is pushed along, and its rows stay: without that the
  outbox never becomes empty.
- The request is announced: a transaction on the fence document tests and writes the token, and writes the place of the
  change. Then the request is sent in a bounded time, or not at all.
- An applier that finds an announcement whose row is still in the outbox, its own included, begins no push and announces
  nothing until the announced request can no longer run (`late_request`, from when the announcement was found).
- The request may run twice. So its answers "not found" and "duplicate name" mean that it was done; but a rename whose
  new name is taken while the old one exists is not done, and is tried again.
- The row is removed after the answer, under the lease, as rows of documents are.
- Rows follow the identity of a collection, not its name, which a rename changes: the documents of earlier rows would be
  looked for under a name that no collection has, and be removed. (Or the rename gives its rows the new name.)
- All rows of a database are in one part: keys of one collection, and collections that may get each other's names.
- An index is state as well, not a change: its row makes the applier create or remove what PostgreSQL has now, or does
  not have, announced as above, but documents do not wait for it. ArangoDB may refuse a unique index until it has later
  documents; then it is tried again, and its row stays.
- A push removes the documents that it replaces before it writes the new ones: values of a unique index may be
  exchanged. If the index still refuses a batch, a larger one is read, up to all rows of the collection.

Properties: DIFFERENT the outbox is empty, or ArangoDB takes the writes, and the databases differ; REVISION a push
writes a revision over itself; STUCK the outbox can no longer become empty.

Not modelled, and therefore refused while a collection is promoted: changes of views and analyzers. Definitions of
graphs are documents. Left out: properties and schema, which are carried as an index is, and on which pushes do not
depend; that the product carries a truncation as removals of its documents; the limit of a batch (a batch grows to all
rows here).
"""
