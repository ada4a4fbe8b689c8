"""A RunPod worker as a process, between the stand-in of the platform and the fake worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.gate import Gate
from tests.server import ROOT
from tests.serverless.platform import Platform

FAKE = ("-m", "tests.serverless.run_handler")
REAL = ("handler.py",)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """A process's environment: this one's, without what RunPod or a user set, and `settings`."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "RUNPOD_"))}
    values = {"HF_HUB_OFFLINE": 1, "RUNPOD_LOG_LEVEL": "INFO"} | dict(settings)
    return own | {name: str(value) for name, value in values.items()}


class RunPodWorker:
    """handler.py as RunPod runs it; a context manager.

    Attributes:
        folder: MODEL_DIR, where the fake worker looks for its gates.
    """

    def __init__(self, platform: Platform, folder: Path, settings: Mapping[str, object]) -> None:
        self.folder = folder
        values = {"PIPELINE": "text-to-image", "MODEL_ID": "some/model", "MODEL_DIR": folder}
        self._log = (folder / "worker.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *FAKE],
            cwd=ROOT,
            env=environment(values | platform.environment | dict(settings)),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    @property
    def log(self) -> str:
        """What the worker wrote so far."""
        return (self.folder / "worker.log").read_text()

    def gate(self, name: str) -> Gate:
        """What holds the fake worker back where it asks for this gate."""
        return Gate(self.folder, name)


StartWorker = Callable[..., RunPodWorker]


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform without jobs."""
    with Platform() as running:
        yield running


@pytest.fixture
def start_worker(platform: Platform, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker of the platform, with settings by name."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(RunPodWorker(platform, tmp_path, settings))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, RunPodWorker]]:
    """A platform and its text-to-image worker, for a file's tests."""
    folder = tmp_path_factory.mktemp("models")
    with Platform() as platform, RunPodWorker(platform, folder, {}) as worker:
        yield platform, worker
