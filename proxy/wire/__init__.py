"""ArangoDB's HTTP API on the wire: requests to operations, outcomes to responses. Pure: no sockets, no state.

endpoints  the endpoints, one row each, compiled into a tree of path segments
decode     Request -> Operation; `peek` for the row alone
encode     Outcome, ArangoError -> Response, with the headers that ArangoDB sends
auth       who asks: Basic and JWT, read and made
velocypack ArangoDB's binary form of JSON, read
message    Request, Response: what the listener and the handlers pass to each other
"""
