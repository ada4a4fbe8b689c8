"""modal_app.py as far as it goes without an account."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import modal
import pytest
from fastapi.testclient import TestClient

from app.errors import JobFailed, OutOfMemory
from app.serverless.remote import CallCancelled, CallNotFinished, CallNotFound
from modal_app import ModalCalls, Runner, web
from tests.checkpoints import make
from tests.pictures import opened
from tests.server import ROOT
from tests.serverless.conftest import environment


def test_the_command_line_knows_download_model() -> None:
    modal_command = [sys.executable, "-m", "modal", "run", "modal_app.py::download_model", "--help"]
    helped = subprocess.run(
        modal_command, cwd=ROOT, env=environment({}), capture_output=True, text=True, check=False
    )

    assert helped.returncode == 0, helped.stderr
    assert all(option in helped.stdout for option in ("--model-id", "--pipeline", "--revision"))


def test_the_web_function_is_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"PIPELINE": "text-to-image", "MODEL_ID": "some/model", "AUTH_TOKEN": "secret"}
    for name, value in (settings | {"DATA_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)

    with TestClient(web.local()) as client:
        assert client.get("/health").json() == {"status": "OK"}
        assert client.get("/version").json()["model_id"] == "some/model"
        assert {"/text-to-image", "/run", "/status/{job_id}"} <= client.get("/openapi.json").json()[
            "paths"
        ].keys()
        assert client.post("/text-to-image", json={"prompt": "a fox"}).status_code == 401


TIMEOUTS = """
import json, modal
told = []
def noting(decorator):
    def note(app, *args, **options):
        told.append(options["timeout"])
        return decorator(app, *args, **options)
    return note
modal.App.function, modal.App.cls = noting(modal.App.function), noting(modal.App.cls)
import modal_app
print(json.dumps([told, modal_app.environment["REQUEST_TIMEOUT"]]))
"""


@pytest.mark.parametrize(("settings", "seconds"), [({}, 600), ({"REQUEST_TIMEOUT": 1800}, 1800)])
def test_modal_gives_a_job_the_time_that_the_runner_does(
    settings: dict[str, object], seconds: int
) -> None:
    """Both the container with the GPU and the service that waits for it."""
    run = subprocess.run(
        [sys.executable, "-c", TIMEOUTS],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    (download, runner, service), told_to_the_runner = json.loads(run.stdout)
    assert told_to_the_runner == str(seconds)
    assert runner == service == seconds + 60
    assert download >= 3600


class FakeCalls:
    """Modal's FunctionCalls by id, each with an outcome."""

    def __init__(self, **outcomes: object) -> None:
        self.cancelled: list[str] = []
        self._outcomes = outcomes

    def from_id(self, call_id: str) -> Any:
        """The call of an id."""

        async def get(timeout: float | None = None) -> object:  # noqa: ASYNC109  # Modal's own
            outcome = self._outcomes[call_id]
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        async def cancel() -> None:
            self.cancelled.append(call_id)

        return SimpleNamespace(get=SimpleNamespace(aio=get), cancel=SimpleNamespace(aio=cancel))


class FakeDict:
    """Modal's Dict."""

    def __init__(self) -> None:
        values: dict[str, Any] = {}

        async def get(key: str) -> Any:
            return values.get(key)

        async def put(key: str, value: Any) -> None:
            values[key] = value

        self.get, self.put = SimpleNamespace(aio=get), SimpleNamespace(aio=put)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (TimeoutError(), CallNotFinished),
        (modal.exception.OutputExpiredError(), CallNotFound),
        (modal.exception.NotFoundError("no such call"), CallNotFound),
        (modal.exception.FunctionTimeoutError("too long"), JobFailed),
        (modal.exception.RemoteError("container crashed"), JobFailed),
        (OutOfMemory(), OutOfMemory),
    ],
)
def test_modals_outcomes_are_told_apart(outcome: Exception, expected: type[Exception]) -> None:
    calls = ModalCalls(None, FakeDict(), FakeCalls(fc=outcome).from_id)

    with pytest.raises(expected):
        asyncio.run(calls.result("fc", 0))


@pytest.mark.parametrize("outcome", [modal.exception.RemoteError(""), TimeoutError()])
def test_a_cancelled_call_is_known_as_such(outcome: Exception) -> None:
    async def scenario() -> None:
        fake = FakeCalls(fc=outcome)
        calls = ModalCalls(None, FakeDict(), fake.from_id)
        await calls.cancel("fc")

        assert fake.cancelled == ["fc"]
        assert await calls.progress("fc") is None
        with pytest.raises(CallCancelled):
            await calls.result("fc", 0)

    asyncio.run(scenario())


def test_a_runner_runs_locally(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model_id = make("sd", tmp_path)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    runner = Runner(pipeline="text-to-image", model_id=model_id)
    small = {"prompt": "a fox", "width": 64, "height": 64, "num_inference_steps": 2, "seed": 7}

    output = asyncio.run(runner.generate.local(small))

    assert output["seed"] == 7
    assert opened(output["body"]).size == (64, 64)
    runner.unload()


def test_calls_are_spawned() -> None:
    spawned: list[object] = []

    async def spawn(*arguments: object) -> object:
        spawned.append(arguments)
        return SimpleNamespace(object_id="fc-1")

    method = SimpleNamespace(spawn=SimpleNamespace(aio=spawn))
    runner = SimpleNamespace(generate=method, paint=method)
    calls = ModalCalls(runner, FakeDict())

    assert asyncio.run(calls.generate({"prompt": "a fox"})) == "fc-1"
    assert spawned == [({"prompt": "a fox"},)]
