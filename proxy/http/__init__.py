"""HTTP/1.1 and HTTP/2 towards clients, HTTP/1.1 towards servers, under uvloop or plain asyncio. Layer 2.

    limits.py      what a client may send, and for how long
    parser.py      the scanner, llhttp: the only module that imports httptools
    requests.py    bytes -> Request, with the rules against smuggling     responses.py  bytes -> Response
    render.py      heads as bytes, hop-by-hop headers; pure               reply.py      answers as bytes
    stream.py      bodies in pieces with back-pressure, flow control of the write side
    tunnel.py      raw bytes both ways after an upgrade
    faults.py      answers of the listener's own, in ArangoDB's error shape
    listener.py    accepts, watches the clocks, drains    hub.py       what the connections of a listener share
    opening.py     a client until its first bytes say which protocol it speaks
    connection.py  one client over HTTP/1.1: protocol and task
    http2.py       one client over HTTP/2: protocol, task, and a task a stream; frames.py  the framing layer, h2: the
                   only module that imports it; http2_head.py heads, pure; http2_exchange.py one stream and what it
                   may hold of memory; http2_answer.py the sending side
    exchange.py    one connection to a server             upstream.py  the pool of them

All speak `proxy.model.message`; a handler knows no socket and no protocol, and tests call it without one.
"""

from proxy.http.limits import HttpLimits
from proxy.http.listener import Listener
from proxy.http.upstream import Upstream

__all__ = ["HttpLimits", "Listener", "Upstream"]
