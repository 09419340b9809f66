from __future__ import annotations

import msgspec
import pytest

from proxy.model.error_body import ErrorBody, decode_error, decode_error_number


def test_number_and_message_are_decoded() -> None:
    body = b'{"code":404,"error":true,"errorMessage":"document not found","errorNum":1202}'
    assert decode_error(body) == ErrorBody(1202, "document not found")
    assert decode_error_number(body) == 1202


def test_an_object_without_them_has_zero_and_an_empty_message() -> None:
    assert decode_error(b"{}") == ErrorBody(0, "")
    assert decode_error_number(b"{}") == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_error(body)
    with pytest.raises(msgspec.DecodeError):
        decode_error_number(body)


def test_the_number_does_not_depend_on_the_text_of_the_message() -> None:
    body = b'{"errorMessage":"unexpected \xff","errorNum":1501}'
    with pytest.raises(UnicodeDecodeError):
        decode_error(body)
    assert decode_error_number(body) == 1501
