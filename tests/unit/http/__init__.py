"""Unit tests of proxy.http: no socket, bytes in and bytes out."""
