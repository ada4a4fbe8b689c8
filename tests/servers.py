"""Servers for the vendors' own clients: real processes with the fake worker."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.server import FAKE, ServerProcess

MakeServer = Callable[..., ServerProcess]


def settings_of(folder: Path, pipeline: str, **settings: object) -> dict[str, object]:
    values = {
        "PIPELINE": pipeline,
        "MODEL_ID": "some/model",
        "MODEL_DIR": folder,
        "DATA_DIR": folder / "data",
    }
    return values | settings


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Servers with settings of their own, ready."""
    started: list[ServerProcess] = []

    def make(pipeline: str = "text-to-image", **settings: object) -> ServerProcess:
        server = ServerProcess(settings_of(tmp_path, pipeline, **settings), FAKE)
        started.append(server)
        return server.__enter__().wait_ready()

    yield make
    for server in started:
        server.stop()


def shared_server(folder: Path, pipeline: str) -> Iterator[ServerProcess]:
    with ServerProcess(settings_of(folder, pipeline), FAKE) as server:
        yield server.wait_ready()


@pytest.fixture(scope="session")
def text_to_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    yield from shared_server(tmp_path_factory.mktemp("text-to-image"), "text-to-image")


@pytest.fixture(scope="session")
def image_to_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    yield from shared_server(tmp_path_factory.mktemp("image-to-image"), "image-to-image")


@pytest.fixture(scope="session")
def image_to_video(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    yield from shared_server(tmp_path_factory.mktemp("image-to-video"), "image-to-video")


def picture(width: int = 48, height: int = 40, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()
