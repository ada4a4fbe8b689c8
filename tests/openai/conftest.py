"""OpenAI's own client, and the servers that it is pointed at."""

from __future__ import annotations

import base64
import io

import numpy as np
import openai
from PIL import Image

from tests.client_servers import image_to_image, image_to_video, make_server, text_to_image
from tests.server import ServerProcess

__all__ = ["image_to_image", "image_to_video", "make_server", "text_to_image"]


def client_of(server: ServerProcess, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def opened(b64_json: str | None) -> Image.Image:
    assert b64_json is not None
    return Image.open(io.BytesIO(base64.b64decode(b64_json, validate=True)))


def pixels(b64_json: str | None) -> np.ndarray:
    return np.asarray(opened(b64_json).convert("RGB"))
