"""Values that all packages share. Pure: no I/O, no tasks, no settings.

endpoint          Endpoint: what is known of one endpoint of ArangoDB's API, and the enumerations of its facts
operations        Operation, Outcome, Change: one typed request of ArangoDB's API, its answer, a version written
documents         keys, handles, system attributes, merging, the form in jsonb
revision          `_rev`: text <-> 64-bit integer, and the hybrid logical clock that makes them
lease_view        the protocol of the lease, for the path of a request
own_ids           ids of the proxy's own cursors and jobs
recheck           when a difference is proved, and the pauses between rechecks
stages            stages, phases and the snapshot of all collections that an instance acts on; allowed transitions
message           HTTP requests and responses
json_values       JSON as ArangoDB compares and prints it; json_reader reads it, json_trim cuts attributes out of it
json_faults       the message for a body that is not JSON
parsed_answer     the versions that ArangoDB's answer to a write shows
error_body        the number and the message of an error of ArangoDB
cursor_requests   the body of a request for a cursor
in_flight         operations in flight, by collection: an instance waits for them before it acknowledges an epoch
clock             ages and times that a step of the wall clock does not falsify
histogram         latency histograms that can be added up across instances

Terms: *operation*: one request of ArangoDB's API, decoded; *outcome*: its answer before it is encoded. *Change*: one
version of a document that was written, or its removal. *Revision*: `_rev`, as text or as the 64-bit number that orders
the versions of a document. *Stage*: how far a collection has moved, from `off` to `flipped`; *snapshot*: the stages of
all collections as one instance knows them.
"""
