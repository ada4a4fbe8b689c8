"""Live progress as server-sent events, for asynchronous jobs and for synchronous ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.engine.job import Progress, State
from app.jobs import events as job_events
from app.jobs.events import Event
from app.jobs.silence import with_silences
from app.routes import events as routes
from tests.conftest import MakeClient
from tests.gate import Gate
from tests.jobs.conftest import TINY, StartService, finished, submit
from tests.pictures import opened
from tests.waiting import wait_until

ANIMATION = {**TINY, "num_inference_steps": 3}


def read(client: TestClient | httpx.Client, job_id: str, **headers: str) -> list[dict[str, Any]]:
    """All events until the stream ends."""
    response = client.get(f"/jobs/{job_id}/events", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return parse(response.text)


def parse(text: str) -> list[dict[str, Any]]:
    data = (line for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line.removeprefix("data: ")) for line in data]


def lines(client: httpx.Client, job_id: str, **headers: str) -> Iterator[str]:
    """Each line of the stream as it comes."""
    with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        yield from response.iter_lines()


def stream(client: httpx.Client, job_id: str) -> Iterator[dict[str, Any]]:
    """Each event as it comes."""
    for line in lines(client, job_id):
        yield from parse(line)


def test_an_asynchronous_job_from_the_queue_to_its_end(
    start_service: StartService, gate: Gate, tmp_path: Path
) -> None:
    gate.close()
    fourth_step = Gate(tmp_path, "step-4")
    fourth_step.close()
    longest = {**ANIMATION, "num_inference_steps": 4}
    with start_service().client() as client:
        inputs = [ANIMATION, ANIMATION, longest]
        ids = [client.post("/run", json={"input": job}).json()["id"] for job in inputs]
        wait_until(lambda: client.get(f"/status/{ids[0]}").json()["status"] == "IN_PROGRESS")
        seen = []
        for event in stream(client, ids[2]):
            seen.append(event)
            gate.open()
            if event["step"] == 3:
                fourth_step.open()
        assert {event["id"] for event in seen} == {ids[2]}
        assert seen[0] == {"id": ids[2], "state": "queued", "step": 0, "steps": 0, "position": 1}
        steps = [event["step"] for event in seen if event["state"] == "running"]
        assert steps == sorted(set(steps))
        assert 3 in steps
        assert seen[-1] == {"id": ids[2], "state": "succeeded", "step": 4, "steps": 4}
        # What an event announces can be fetched.
        assert client.get(f"/status/{ids[2]}").json()["status"] == "COMPLETED"


def test_a_synchronous_job_that_named_its_id(start_service: StartService, gate: Gate) -> None:
    service = start_service().wait_ready()
    gate.close()
    named = {"X-Request-Id": "3f9a-my-own-id"}
    with service.client() as client, ThreadPoolExecutor(2) as pool:
        seen: list[dict[str, Any]] = []
        watching = pool.submit(lambda: seen.extend(stream(client, "3f9a-my-own-id")))
        answer = pool.submit(client.post, "/text-to-image", json=ANIMATION, headers=named)
        wait_until(lambda: seen)
        gate.open()
        watching.result()
        assert (seen[-1]["state"], seen[-1]["step"]) == ("succeeded", 3)
        assert answer.result().status_code == 200


def test_the_last_event_says_what_went_wrong(client: TestClient) -> None:
    job_id = submit(client, {**TINY, "prompt": "oom"})
    last = read(client, job_id)[-1]
    assert last["state"] == "failed"
    assert last["error"].startswith("Out of memory error.")


def test_a_finished_job_answers_at_once_and_then_tells_browsers_to_stop(
    client: TestClient,
) -> None:
    job_id = submit(client)
    finished(client, job_id)
    text = client.get(f"/jobs/{job_id}/events").text
    assert text.startswith("retry: ")
    assert "id: succeeded\n" in text
    assert [event["state"] for event in parse(text)] == ["succeeded"]
    again = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "succeeded"})
    assert again.status_code == 204


def test_what_a_browser_has_seen_is_not_repeated(
    start_service: StartService, tmp_path: Path
) -> None:
    second, third = Gate(tmp_path, "step-2"), Gate(tmp_path, "step-3")
    second.close()
    third.close()
    with start_service().client() as client:
        asked = TINY | {"num_inference_steps": 3}
        job_id = client.post("/run", json={"input": asked}).json()["id"]
        assert next(event for event in stream(client, job_id) if event["step"] == 1)
        text = ""
        for line in lines(client, job_id, **{"Last-Event-ID": "running-1"}):
            text += line + "\n"
            second.open()  # it is heard: its first line does not wait for an event
            if line == "id: running-2":
                third.open()
        seen = parse(text)
    assert (seen[0]["state"], seen[0]["step"]) == ("running", 2)
    assert seen[-1]["state"] == "succeeded"


def test_only_what_a_browser_has_seen_is_left_out(make_client: MakeClient) -> None:
    state = make_client().app.state  # type: ignore[attr-defined]
    door = routes.EventsDoor(state.runner, state.services.queue)
    steps = [Event(Progress(State.RUNNING, step, 2)) for step in (1, 2)]
    seen = parse(collect(door, *steps, last_seen="running-1"))
    assert [event["step"] for event in seen] == [2]


def test_an_unknown_job(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "APPEARS", 0.1)
    assert client.get("/jobs/nothing/events").status_code == 404
    assert client.delete("/jobs/nothing").status_code == 404


def test_cancel_by_id(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    gate.close()
    job_id = submit(client)
    gate.wait_reached()
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    gate.open()
    assert read(client, job_id)[-1]["state"] == "cancelled"


def test_cancel_a_synchronous_job_by_its_request_id(
    start_service: StartService, gate: Gate
) -> None:
    service = start_service().wait_ready()
    gate.close()
    named = {"X-Request-Id": "mine"}
    with service.client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/text-to-image", json=TINY, headers=named)
        gate.wait_reached()
        assert client.delete("/jobs/mine").status_code == 204
        assert "cancelled" in answer.result().text
    gate.open()


def test_watching_needs_the_id_stopping_needs_the_token(make_client: MakeClient) -> None:
    client = make_client(auth_token="s3cret")
    bearer = {"Authorization": "Bearer s3cret"}
    accepted = client.post("/run", json={"input": TINY}, headers=bearer).json()
    assert read(client, accepted["id"])[-1]["state"] == "succeeded"
    assert client.delete(f"/jobs/{accepted['id']}").status_code == 401
    assert client.delete(f"/jobs/{accepted['id']}", headers=bearer).status_code == 204


def collect(door: routes.EventsDoor, *events: Event, last_seen: str = "") -> str:
    async def source() -> AsyncIterator[Event]:
        for event in events:
            yield event

    async def main() -> bytes:
        return b"".join([line async for line in door._lines("job", source(), last_seen)])

    return asyncio.run(main()).decode()


def test_a_preview_is_a_small_picture(make_client: MakeClient) -> None:
    client = make_client(previews=True)
    state = client.app.state  # type: ignore[attr-defined]
    door = routes.EventsDoor(state.runner, state.services.queue)
    pixels = np.full((64, 128, 3), 200, np.uint8)
    running = Event(Progress(State.RUNNING, 1, 2, pixels.data))
    (data,) = parse(collect(door, running))
    header, _, text = data["preview"].partition(",")
    assert header == "data:image/jpeg;base64"
    picture = opened(text)
    assert picture.size == (256, 128)
    assert abs(picture.getpixel((5, 5))[0] - 200) < 5  # type: ignore[index]


@pytest.mark.parametrize("previews", [False, True])
def test_previews_where_they_are_set(
    start_service: StartService, gate: Gate, previews: bool
) -> None:
    gate.close()
    with start_service(PREVIEWS=previews).client() as client:
        job_id = client.post("/run", json={"input": TINY}).json()["id"]
        seen = []
        for event in stream(client, job_id):
            seen.append(event)
            if event["state"] == "running":  # it is followed step by step from here on
                gate.open()
    assert any("preview" in event for event in seen) == previews


def test_silence_is_filled_with_comments() -> None:
    async def main() -> list[Event | None]:
        release = asyncio.Event()

        async def source() -> AsyncIterator[Event]:
            await release.wait()
            yield Event(Progress(State.SUCCEEDED))

        seen = []
        async for event in with_silences(source(), 0.01):
            seen.append(event)
            if len(seen) == 3:
                release.set()
        return seen

    seen = asyncio.run(main())
    assert seen[:3] == [None, None, None]
    assert seen[-1] == Event(Progress(State.SUCCEEDED))
