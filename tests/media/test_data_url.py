"""Base64 images: what clients send is understood or refused with a reason."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ImageInvalid
from app.media.data_url import decode_base64_image, to_data_url


@given(st.binary(min_size=1, max_size=300))
def test_a_data_url_gives_its_bytes_back(data: bytes) -> None:
    assert decode_base64_image(to_data_url(data, "image/png"), max_bytes=300) == data


def test_the_data_url_is_the_standard_one() -> None:
    assert to_data_url(b"\xfb\xffa", "image/png") == "data:image/png;base64,+/9h"


@given(st.binary(min_size=1, max_size=3000))
def test_line_breaks_are_skipped(data: bytes) -> None:
    assert decode_base64_image(base64.encodebytes(data).decode(), max_bytes=3000) == data


@pytest.mark.parametrize(
    "text",
    [
        "AQID",
        " AQ ID\r\n",
        "data:;base64,AQID",
        "DATA:image/png;charset=x;BASE64,AQID",
        "\n data:image/png;base64, A\tQID ",
    ],
)
def test_usual_spellings_are_understood(text: str) -> None:
    assert decode_base64_image(text, max_bytes=3) == b"\x01\x02\x03"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png,AQID", "malformed"),
        ("data:image/png;base64", "malformed"),
        ("AQI", "not valid base64"),
        ("AQID=", "not valid base64"),
        ("A===", "not valid base64"),
        ("AA==AA==", "not valid base64"),
        ("AQ-_", "not valid base64"),
        ("AQ!D", "not valid base64"),
        ("https://example.com/cat.png", "not valid base64"),
        ("AQID\u3000", "not base64 text"),
        ("Kätzchen", "not base64 text"),
        ("\ud800", "not base64 text"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ImageInvalid, match=reason):
        decode_base64_image(text, max_bytes=1000)


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 4, 100])
def test_the_bound_is_on_the_decoded_bytes(max_bytes: int) -> None:
    assert len(decode_base64_image(to_data_url(bytes(max_bytes), "image/png"), max_bytes=max_bytes))
    for excess in (1, 1000):
        text = to_data_url(bytes(max_bytes + excess), "image/png")
        with pytest.raises(ImageInvalid, match=f"at most {max_bytes} bytes"):
            decode_base64_image(text, max_bytes=max_bytes)


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(ImageInvalid):
        assert decode_base64_image(text, max_bytes=1000)
