"""HTTP/1.1 towards clients and servers, on httptools (llhttp, strict), under uvloop or plain asyncio. Layer 2.

    limits.py      what a client may send, and for how long
    parser.py      the scanner, llhttp: the only module that imports httptools
    requests.py    bytes -> Request, with the rules against smuggling     responses.py  bytes -> Response
    render.py      heads as bytes, hop-by-hop headers; pure               reply.py      answers as bytes
    stream.py      bodies in pieces with back-pressure, flow control of the write side
    tunnel.py      raw bytes both ways after an upgrade
    faults.py      answers of the listener's own, in ArangoDB's error shape
    connection.py  one client: protocol and task          listener.py  accepts, watches the clocks, drains
    exchange.py    one connection to a server             upstream.py  the pool of them

Both sides speak `proxy.wire.message`; a handler knows no socket, and tests call it without one. Another protocol
(HTTP/2) is another `asyncio.Protocol` beside `connection.py` that calls the same handler.
"""

from proxy.http.limits import Limits
from proxy.http.listener import Listener
from proxy.http.upstream import Upstream

__all__ = ["Limits", "Listener", "Upstream"]
