"""The framing layer of HTTP/2: the only module that imports h2 (and hyperframe, which is h2's own).

A session is fed bytes and gives events; what it wants to send is taken from `data_to_send`. It refuses what breaks
RFC 9113: malformed frames and heads, hop-by-hop headers, pseudo-headers out of place, bodies that break their
Content-Length, windows that are overrun, more streams than were granted, heads above the limit. A BrokenError has then
already queued the GOAWAY with the reason.
"""

from __future__ import annotations

from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError as BrokenError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from proxy.http.http2_stream import WINDOW
from proxy.http.limits import HttpLimits

CONNECTION_WINDOW: Final = 16 << 20  # bytes: what bounds memory is the window of each stream
_FRAME: Final = 16 << 10
_TABLE: Final = 4 << 10


def session(limits: HttpLimits) -> H2Connection:
    """Return the server's side of one connection, its settings among what is to be sent."""
    # what goes out is checked in http2_head
    made = H2Connection(
        H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    made.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            SettingCodes.MAX_FRAME_SIZE: _FRAME,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head,
            SettingCodes.HEADER_TABLE_SIZE: _TABLE,
        },
    )
    made.decoder.max_header_list_size = limits.head
    made.initiate_connection()
    made.increment_flow_control_window(CONNECTION_WINDOW - made.inbound_flow_control_window)
    return made


def goaway_frame(last: int) -> bytes:
    """Return GOAWAY as bytes: no stream after `last` is accepted. h2 would send nothing after a GOAWAY of its own."""
    return GoAwayFrame(0, last_stream_id=last, error_code=ErrorCodes.NO_ERROR).serialize()


def allow_answers_after_goaway(connection: H2Connection) -> None:
    """Let h2 send answers after the client's GOAWAY: it opens no further stream, but waits for its answers."""
    connection.state_machine.state = ConnectionState.SERVER_OPEN


__all__ = [
    "CONNECTION_WINDOW",
    "BrokenError",
    "ConnectionTerminated",
    "DataReceived",
    "ErrorCodes",
    "Event",
    "H2Connection",
    "RemoteSettingsChanged",
    "RequestReceived",
    "StreamEnded",
    "StreamReset",
    "TrailersReceived",
    "WindowUpdated",
    "allow_answers_after_goaway",
    "goaway_frame",
    "session",
]
