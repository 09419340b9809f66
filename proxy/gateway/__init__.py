"""A request's path: from a decoded operation to the client's answer.

dispatcher          decodes, routes and carries out: origin, capture, PostgreSQL
router              the route of a request as the instance is now; waits for a flip to be decided
promoted_requests   requests to promoted collections, and the wait while that is being decided
reads               a READ: PostgreSQL under the fence or ArangoDB, and PostgreSQL brought up to date
answered_reads      what becomes of a read afterwards: compared by the shadow, or counted as uncompared
target_reads        reads that PostgreSQL serves: fenced, bounded in time, counted when ArangoDB must answer instead
request_body        bodies that must be decoded, within bounds of memory
operation_reader    requests of a store, their large bodies on disk
own_account         counts requests with Crossfade's own account
authorization       whether a client may read: ArangoDB decides, the answer is cached for a while
velocypack_answers  answers in VelocyPack for clients that accept it
packed_stream       the same of answers that wait on disk
service_proxy       service paths: a reverse proxy in front of document services
health              whether both databases answer, now and within a bound

Terms: *held*: a request waits until the flip in progress of a collection that it names is decided. *Fallback*: ArangoDB
answers a read that was routed to PostgreSQL, for a counted reason. *Service path*: any path that does not begin with
`/_`: a document service answers it.
"""
