"""All tests of uploads, twice: with either way to read a PNG."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.media import png_read
from tests.media.decode.files import MAX_PIXELS


@pytest.fixture(autouse=True, scope="module", params=["all by Pillow", "what can be, quickly"])
def _worth(request: pytest.FixtureRequest) -> Iterator[None]:
    """From which size on PNGs are read in another way."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        quickly = request.param == "what can be, quickly"
        monkeypatch.setattr(png_read, "_WORTH", 1 if quickly else MAX_PIXELS + 1)
        yield
