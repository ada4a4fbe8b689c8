"""Servers that the client is pointed at."""

from __future__ import annotations

from tests.client_servers import image_to_image, image_to_video, make_server, text_to_image

__all__ = ["image_to_image", "image_to_video", "make_server", "text_to_image"]
