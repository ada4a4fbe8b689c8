"""Every encoder of finished samples, under one import."""

from __future__ import annotations

from app.media.data_url import to_data_url
from app.media.jpeg_webp import encode_jpeg, encode_webp
from app.media.mp4 import encode_mp4
from app.media.png import encode_png

__all__ = ["encode_jpeg", "encode_mp4", "encode_png", "encode_webp", "to_data_url"]
