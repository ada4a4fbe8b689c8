"""Pictures in RunPod's calls: how they are sent, and how the results come."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from app.jobs import local_jobs
from app.jobs.api import Call
from tests.conftest import MakeClient
from tests.jobs.conftest import TINY, Receiver, finished, submit
from tests.pictures import picture


@pytest.mark.parametrize(
    "write",
    [
        lambda data: base64.b64encode(data).decode(),
        lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
    ],
)
def test_images_as_text(make_client: MakeClient, write: Callable[[bytes], str]) -> None:
    client = make_client(pipeline="image-to-image")
    given = {"prompt": "a", "num_inference_steps": 2, "image": write(picture(16, 16))}
    assert finished(client, submit(client, given))["status"] == "COMPLETED"


def test_an_image_by_url(make_client: MakeClient, receiver: Receiver) -> None:
    receiver.answers["/red.png"] = (200, {}, picture(16, 16))
    client = make_client(pipeline="image-to-image", allow_private_urls=True)
    given = {"prompt": "a", "num_inference_steps": 2, "image": f"{receiver.url}/red.png"}
    assert finished(client, submit(client, given))["status"] == "COMPLETED"
    given["image"] = f"{receiver.url}/none"
    response = client.post("/run", json={"input": given})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (None, "`image` is missing"),
        (" ", "`image` is missing"),
        (7, "`image` must be text: a data URL, base64 or an https URL"),
        ({"url": "https://example.com/a.png"}, "`image` must be text"),
        ("!!!", "base64"),
        (base64.b64encode(b"not an image").decode(), "image"),
        ("https://127.0.0.1/a.png", "private address"),
        ("https://169.254.169.254/latest/meta-data/", "private address"),
        ("http://example.com/a.png", "has to begin with https://"),
        ("ftp://example.com/a.png", "has to begin with https://"),
        ("file:///etc/passwd", "has to begin with https://"),
    ],
)
def test_images_that_cannot_be_used(make_client: MakeClient, image: object, says: str) -> None:
    client = make_client(pipeline="image-to-image")
    response = client.post("/run", json={"input": {"prompt": "a", "image": image}})
    assert response.status_code == 400
    assert says in response.json()["error"]


def test_a_videos_body_is_the_mp4(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-video")
    given = {"image": base64.b64encode(picture(16, 16)).decode(), "width": 16, "height": 16,
             "num_inference_steps": 1}  # fmt: skip
    output = finished(client, submit(client, given))["output"]
    assert output["content_type"] == "video/mp4"
    assert base64.b64decode(output["body"])[4:8] == b"ftyp"


def test_a_large_result_is_answered_by_url(make_client: MakeClient) -> None:
    client = make_client()
    given = {**TINY, "num_images_per_prompt": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_jobs.LIMITS, Call.RUN, 600)
        output = finished(client, submit(client, given))["output"]
    assert "body" not in output
    assert len(output["images"]) == 10
    first = output["images"][0]["url"]
    assert first.startswith("http://testserver/stream/")
    assert client.get(first).content.startswith(b"\x89PNG")


def test_a_large_result_without_room_for_files_fails_clearly(make_client: MakeClient) -> None:
    client = make_client(media_limit_mb=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_jobs.LIMITS, Call.RUN, 200)
        job = finished(client, submit(client, {**TINY, "width": 256, "height": 256}))
    assert job["status"] == "FAILED"
    assert "MEDIA_LIMIT_MB" in job["error"]
