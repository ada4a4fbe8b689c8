"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.engine.service import LocalService
from app.main import create_app
from app.settings import Settings
from tests.serve_fake import FAKE_WORKER

MakeSettings = Callable[..., Settings]
MakeClient = Callable[..., TestClient]

if find_spec("hypothesis"):  # the environments of Ray and of stable-fast have none
    from hypothesis import settings as hypothesis_settings

    # How long an example takes is the machine's matter; the same ones each time.
    hypothesis_settings.register_profile(
        "tests", hypothesis_settings(), deadline=None, derandomize=True
    )
    hypothesis_settings.load_profile("tests")


def pytest_configure() -> None:
    """PyTorch here and in the servers under test shares the cores with other tests' ones."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings of the shell that runs it."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a service whose folders are the test's own."""

    def make(**values: object) -> Settings:
        defaults: dict[str, object] = {"pipeline": "text-to-image", "model_id": "some/model"}
        defaults |= {"model_dir": tmp_path, "data_dir": tmp_path / "data"}
        return Settings.model_validate(defaults | values)

    return make


@pytest.fixture
def make_client(make_settings: MakeSettings) -> Iterator[MakeClient]:
    """Clients of the whole application in this process, with the fake worker behind it."""
    with ExitStack() as stack:
        yield lambda **values: stack.enter_context(client_of(make_settings(**values)))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a text-to-image service with the fake worker, shared by a file's tests."""
    with client_in(tmp_path_factory.mktemp("models"), "text-to-image") as shared:
        yield shared


def client_in(folder: Path, pipeline: str) -> TestClient:
    """A client of a service whose models and data lie in a folder; to be entered."""
    return client_of(
        Settings(
            pipeline=pipeline,
            model_id="some/model",
            model_dir=folder,
            data_dir=folder / "data",
        )
    )


def client_of(settings: Settings) -> TestClient:
    """The application with the fake worker; to be entered."""
    app = create_app(settings, LocalService(settings, worker_command=FAKE_WORKER))
    return TestClient(app, raise_server_exceptions=False)
