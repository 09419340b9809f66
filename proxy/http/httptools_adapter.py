"""The scanner of HTTP/1.1: the only module that imports httptools (llhttp in its strict mode).

A scanner is given an object with `on_message_begin`, `on_url` or `on_status`, `on_header`, `on_headers_complete`,
`on_body` and `on_message_complete`, and calls them from `feed_data`. llhttp refuses what smuggling is made of: both
framings, repeated or signed lengths, folded lines, a lone LF or CR, bad chunks. An error that a callback raises comes
out of `feed_data` as the context of a MalformedError. UpgradePause carries the place where the message ended.
"""

from httptools import HttpParserError as MalformedError
from httptools import HttpParserUpgrade as UpgradePause
from httptools import HttpRequestParser as RequestScanner
from httptools import HttpResponseParser as ResponseScanner

__all__ = ["MalformedError", "RequestScanner", "ResponseScanner", "UpgradePause"]
