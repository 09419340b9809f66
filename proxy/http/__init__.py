"""HTTP/1.1 and HTTP/2 towards clients, HTTP/1.1 towards servers, under uvloop or plain asyncio.

Clients:
    listener          accepts, enforces time limits, drains; listener_state: what its connections share
    protocol_sniffer  a client until its first bytes show its protocol
    connection        one client over HTTP/1.1: protocol and task
    http2             one client over HTTP/2: protocol, task, and a task for each stream; http2_stream: one stream and
                      the memory that it may hold; http2_sender: the sending side; http2_head: heads, pure
    error_responses   answers that the listener itself gives, in ArangoDB's error shape
    limits            what a client may send, and for how long
Servers:
    upstream          requests to one server; connection_pool: its connections; request_sender: bodies that stream
    server_connection one connection to a server
Both:
    requests          bytes -> Request, with the rules against request smuggling; responses: bytes -> Response
    head_writer       heads as bytes, hop-by-hop headers, pure; response_writer: answers as bytes
    stream            bodies in pieces with back-pressure; flow control of the write side
    tunnel            raw bytes in both directions after an upgrade
    httptools_adapter the scanner of HTTP/1.1 (llhttp); h2_adapter: the framing layer of HTTP/2

All exchange `proxy.model.message`; a handler knows neither sockets nor protocols, and tests call it without them.

Terms: the *head* of a message is its first line and its headers. A body is *collected* if it is read completely before
it is passed on, else it *streams*. A listener *drains* when it accepts no further connection and lets requests end.
"""

from proxy.http.limits import HttpLimits
from proxy.http.listener import Listener
from proxy.http.upstream import Upstream

__all__ = ["HttpLimits", "Listener", "Upstream"]
