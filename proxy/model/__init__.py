"""Values that every room names. Pure: no I/O, no tasks, no settings.

endpoint          Endpoint: what is known of one endpoint of ArangoDB's API, and the enumerations of its facts
operations        Operation, Outcome, Change: one typed request of ArangoDB's API, its answer, a version written
documents         keys, handles, system attributes, merging, the form in jsonb
revision          `_rev`: text <-> 64-bit integer, and the hybrid logical clock that makes them
lease_view        what the path of a request needs of the lease
stages            stages, phases and the snapshot of all collections that an instance acts on; allowed transitions
message           HTTP requests and responses
json_values       JSON as ArangoDB compares and prints it; json_reader reads it, json_trim cuts attributes out of it
parsed_answer     what an answer of ArangoDB to a write says was written
error_body        the number and the message of an error of ArangoDB's
cursor_requests   what a request for a cursor asks for
own_ids           ids of cursors and jobs that a proxy makes itself
recheck           when a difference is proved, and when to read both sides again (I8)
in_flight         requests under way, by collection: what an instance waits for before it acknowledges an epoch
clock             ages and times that a step of the wall clock does not change
histogram         latency histograms that can be added up across instances
"""
