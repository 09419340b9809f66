"""ArangoDB's HTTP API on the wire: requests to operations, outcomes to responses. Pure: no sockets, no state.

endpoints          the table of endpoints: one row each, with all facts that the proxy decides by (`model.endpoint`)
path_tree          method and path -> row
decode             Request -> Operation; `peek` for the endpoint alone
encode             Outcome, ArangoError -> Response, with the headers that ArangoDB sends
encoding           bodies in gzip and deflate
auth               the user of a request: Basic and JWT, read and made
velocypack         ArangoDB's binary form of JSON, read; velocypack_writer writes it
velocypack_elements an array of VelocyPack that is too large for memory, read element by element

Terms: a *row* states all that the proxy knows of one endpoint. Its *effect* is what the endpoint does to documents, its
*family* the part of the API to which it belongs, its *capture* the kind of write.
"""
