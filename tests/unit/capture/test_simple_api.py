"""The keys in the bodies of `/_api/simple` writes."""

from proxy.capture.simple_api import keys_of


def test_keys_and_handles() -> None:
    assert keys_of(b'{"collection":"books","keys":["a","books/b","a"]}') == ("a", "b")
    assert keys_of(b'{"collection":"books","keys":[7]}') is None
    assert keys_of(b"{") is None
