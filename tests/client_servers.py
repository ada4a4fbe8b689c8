"""Servers for the vendors' own clients: real processes with the fake worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import ServerProcess, fake_server

MakeServer = Callable[..., ServerProcess]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Servers with settings of their own, ready."""
    started: list[ServerProcess] = []

    def make(pipeline: str = "text-to-image", **settings: object) -> ServerProcess:
        server = fake_server(tmp_path, pipeline, **settings)
        started.append(server)
        return server.__enter__().wait_ready()

    yield make
    for server in started:
        server.stop()


def shared_server(folder: Path, pipeline: str) -> Iterator[ServerProcess]:
    with fake_server(folder, pipeline) as server:
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
