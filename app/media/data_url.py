"""Base64 text: images that clients send in JSON, and data URLs that they receive."""

from __future__ import annotations

import binascii

import pybase64

from app.errors import ImageInvalid

_WHITESPACE = b" \t\r\n\f\v"
_BYTES_PER_QUANTUM, _CHARACTERS_PER_QUANTUM = 3, 4  # RFC 4648, section 4
_HEADER_ALLOWANCE = 256  # "data:image/png;base64," and longer kin
_REMEDY = "send standard base64 (RFC 4648 section 4, with its padding), or a data URL."


def to_data_url(data: bytes, media_type: str) -> str:
    """Return `data` as a base64 data URL (RFC 2397) of the given `media_type`."""
    return f"data:{media_type};base64,{pybase64.b64encode_as_string(data)}"


def decode_base64_image(text: str, *, max_bytes: int) -> bytes:
    """Return the bytes of a data URL or of plain base64; ASCII white space anywhere is skipped.

    The alphabet and the padding are strict. Whether the bytes are an image is for `decode_image`.

    Raises:
        ImageInvalid: nothing there, not base64, or more than `max_bytes` bytes once decoded.
    """
    quanta = -(-max_bytes // _BYTES_PER_QUANTUM)
    # White space may at most double the text; beyond that it is not worth reading.
    if len(text) > 2 * _CHARACTERS_PER_QUANTUM * quanta + _HEADER_ALLOWANCE:
        raise _too_large(max_bytes)
    data = _decode(_payload(text))
    if not data:
        raise ImageInvalid("The image is empty: send the contents of an image file.")
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _payload(text: str) -> bytes:
    """Return the base64 characters of `text`, without a data URL's header."""
    stripped = text.lstrip()
    if stripped[:5].lower() == "data:":
        header, comma, stripped = stripped.partition(",")
        if not comma or not header.rstrip().lower().endswith(";base64"):
            raise ImageInvalid(
                'The data URL is malformed: it has to start like "data:image/png;base64,".'
            )
    try:
        return stripped.encode("ascii")
    except UnicodeEncodeError as cause:
        raise ImageInvalid(f"The image is not base64 text: {_REMEDY}") from cause


def _decode(payload: bytes) -> bytes:
    try:
        return pybase64.b64decode(payload, validate=True)
    except binascii.Error:
        pass  # most clients send no white space, so it is looked for only now
    try:
        return pybase64.b64decode(payload.translate(None, _WHITESPACE), validate=True)
    except binascii.Error as cause:
        raise ImageInvalid(f"The image is not valid base64: {_REMEDY}") from cause


def _too_large(max_bytes: int) -> ImageInvalid:
    return ImageInvalid(
        f"The image file is too large: at most {max_bytes} bytes are accepted; "
        "send a smaller or more strongly compressed one."
    )
