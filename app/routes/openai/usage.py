"""Usage in OpenAI's tokens, as a measure of work: this server neither counts nor bills tokens.

An image counts one token for each 16 x 16 pixels (a patch of 2 x 2 latents, as diffusion
transformers count), a text one for each four bytes of UTF-8.
"""

from __future__ import annotations

from pydantic import BaseModel

from app.engine.messages import Inputs

PATCH = 16
"""Pixels along one side of what counts as one token of an image."""
BYTES_A_TOKEN = 4
"""Bytes of text that count as one token; about what English takes in today's vocabularies."""


class InputTokens(BaseModel):
    """What the input tokens are of."""

    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """Tokens of a request."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    total_tokens: int


def usage_of(inputs: Inputs) -> Usage:
    """The tokens of a generation."""
    text = text_tokens(getattr(inputs.params, "prompt", ""))
    image = image_tokens(*inputs.image_shape[:2]) if inputs.image_shape else 0
    made = len(inputs.seeds) * image_tokens(*inputs.size)
    return Usage(
        input_tokens=text + image,
        input_tokens_details=InputTokens(image_tokens=image, text_tokens=text),
        output_tokens=made,
        total_tokens=text + image + made,
    )


def image_tokens(width: int, height: int) -> int:
    """Tokens of an image; a patch that is cut off counts."""
    return -(-width // PATCH) * -(-height // PATCH)


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)
