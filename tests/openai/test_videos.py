"""OpenAI's videos by its own client: create, poll, download, list, delete."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import av
import httpx
import openai
import pytest
from PIL import Image

from tests.client_servers import MakeServer
from tests.gate import Gate
from tests.openai.conftest import client_of
from tests.pictures import picture
from tests.server import ServerProcess
from tests.waiting import wait_until

REFERENCE = ("a.png", picture(), "image/png")
EXTRA = {"num_inference_steps": 2, "seed": 9, "fps": 4}
SMALL: dict[str, Any] = {"prompt": "waves", "size": "64x32"}
FORM = {"prompt": "waves", "size": "64x32", "seed": "9", "num_inference_steps": "2", "fps": "4"}


def create(client: openai.OpenAI, **changes: Any) -> Any:
    fields = SMALL | {"input_reference": REFERENCE, "extra_body": EXTRA}
    return client.videos.create(**fields | changes)


def frames(data: bytes) -> list[Any]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_create_poll_download_delete(image_to_video: ServerProcess) -> None:
    client = client_of(image_to_video)
    video = client.videos.create_and_poll(
        **SMALL, input_reference=REFERENCE, seconds="4", extra_body=EXTRA, poll_interval_ms=50
    )
    assert (video.status, video.progress, video.size) == ("completed", 100, "64x32")
    assert (video.prompt, video.model, video.error) == ("waves", "some/model", None)
    assert video.seconds == "0.5"
    assert video.completed_at is not None
    assert video.created_at <= video.completed_at < (video.expires_at or 0)
    clip = frames(client.videos.download_content(video.id).read())
    assert [frame.shape for frame in clip] == [(32, 64, 3)] * 2
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    assert Image.open(io.BytesIO(thumbnail)).size == (64, 32)
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


def test_the_asynchronous_client(image_to_video: ServerProcess) -> None:
    async def run() -> bytes:
        async with openai.AsyncOpenAI(
            base_url=f"{image_to_video.url}/v1", api_key="unused"
        ) as client:
            video = await client.videos.create_and_poll(
                **SMALL, input_reference=REFERENCE, extra_body=EXTRA
            )
            content = await client.videos.download_content(video.id)
            return await content.aread()

    assert len(frames(asyncio.run(run()))) == 2


def test_ranges(image_to_video: ServerProcess) -> None:
    client = client_of(image_to_video)
    video = client.videos.create_and_poll(**SMALL, input_reference=REFERENCE, extra_body=EXTRA)
    with image_to_video.client() as plain:
        check_ranges(plain, f"/v1/videos/{video.id}/content")


def check_ranges(client: httpx.Client, url: str) -> None:
    whole = client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    size = len(whole.content)
    for header, expected in {
        "bytes=0-3": whole.content[:4],
        "bytes=4-": whole.content[4:],
        "bytes=-5": whole.content[-5:],
        f"bytes=2-{size + 9}": whole.content[2:],
    }.items():
        part = client.get(url, headers={"Range": header})
        assert part.status_code == 206
        assert part.content == expected
        assert part.headers["content-range"].endswith(f"/{size}")
    beyond = client.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for header in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=-", f"bytes={'9' * 5000}-"):
        assert client.get(url, headers={"Range": header}).content == whole.content


def test_a_waiting_client_is_told_when_to_come_back(
    make_server: MakeServer, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    server = make_server("image-to-video")
    gate.close()
    client = client_of(server)
    running, waiting = create(client), create(client)
    assert (running.status, running.seconds) in (("queued", "0"), ("in_progress", "0"))
    wait_until(lambda: client.videos.retrieve(running.id).status == "in_progress")
    raw = client.videos.with_raw_response.retrieve(waiting.id)
    assert raw.parse().status == "queued"
    assert 200 <= int(raw.headers["openai-poll-after-ms"]) <= 5000
    with pytest.raises(openai.BadRequestError, match="nothing to download"):
        client.videos.download_content(running.id)
    for video in (running, waiting):
        client.videos.delete(video.id)
    wait_until(lambda: "outcome=JobCancelled" in server.log)
    gate.open()
    assert client.videos.list().data == []
    assert client.videos.poll(create(client).id).status == "completed"


def test_listing_a_page_at_a_time(make_server: MakeServer) -> None:
    client = client_of(make_server("image-to-video"))
    ids = [create(client).id for _ in range(5)]
    assert [video.id for video in client.videos.list(limit=2)] == ids[::-1]
    first = client.videos.list(limit=2, order="asc")
    assert [video.id for video in first.data] == ids[:2]
    assert first.has_more
    assert [video.id for video in client.videos.list(order="asc", after=ids[2]).data] == ids[3:]


def test_a_failure_has_a_code_and_a_message(make_server: MakeServer, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    server = make_server("image-to-video")
    gate.close()
    client = client_of(server)
    video = create(client)
    gate.wait_reached()
    with server.client() as plain:
        assert plain.post(f"/cancel/{video.id}").status_code == 200
    gate.open()
    video = client.videos.poll(video.id)
    assert video.status == "failed"
    assert (video.error.code, video.error.message) == ("cancelled", "The job was cancelled.")


def test_jobs_of_another_protocol_are_no_videos(image_to_video: ServerProcess) -> None:
    image = base64.b64encode(picture()).decode()
    body = {"input": {"image": image, "num_inference_steps": 1, "width": 64, "height": 32}}
    with image_to_video.client() as plain:
        job_id = plain.post("/run", json=body).json()["id"]
    with pytest.raises(openai.NotFoundError):
        client_of(image_to_video).videos.retrieve(job_id)


def test_the_file_at_once(image_to_video: ServerProcess) -> None:
    files = {"input_reference": REFERENCE}
    with image_to_video.client() as client:
        response = client.post("/v1/videos/sync", data=FORM, files=files)
    assert response.headers["content-type"] == "video/mp4"
    assert "inference" in response.headers["server-timing"]
    assert len(frames(response.content)) == 2


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/sync"])
def test_a_slip_in_a_field_is_told(image_to_video: ServerProcess, path: str) -> None:
    asked = FORM | {"sede": "3", "user": "me"}
    with image_to_video.client() as client:
        answer = client.post(path, data=asked, files={"input_reference": REFERENCE})
        told = [answer.headers["warning"]]
        if path == "/v1/videos":
            told.append(client.get(f"{path}/{answer.json()['id']}").headers["warning"])
    assert set(told) == {'199 - "sede is no field and was ignored: seed is one"'}


def test_the_image_as_a_url(image_to_video: ServerProcess) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    for reference in (
        {"input_reference": url},
        {"input_reference": json.dumps({"image_url": url})},
        {"input_reference[image_url]": url},
    ):
        with image_to_video.client() as client:
            response = client.post("/v1/videos/sync", data=FORM | reference, files={"x": b""})
        assert response.status_code == 200, response.text


def test_a_reference_of_several_megabytes(image_to_video: ServerProcess) -> None:
    noise = io.BytesIO()
    Image.effect_noise((1024, 1024), 100).convert("RGB").save(noise, "PNG")
    url = "data:image/png;base64," + base64.b64encode(noise.getvalue()).decode()
    assert len(url) > 2 * 1024**2
    fields = FORM | {"input_reference": json.dumps({"image_url": url})}
    with image_to_video.client() as client:
        response = client.post("/v1/videos/sync", data=fields, files={"x": b""})
    assert response.status_code == 200, response.text[:200]


def test_refusals(image_to_video: ServerProcess) -> None:
    client = client_of(image_to_video)
    for changes, param in (
        ({"input_reference": openai.omit}, "input_reference"),
        ({"size": "wide"}, "size"),
        ({"extra_body": {"fps": 0}}, "fps"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            create(client, **changes)
        assert refused.value.param == param
    with pytest.raises(openai.BadRequestError, match="input_reference"):
        create(client, input_reference=openai.omit, extra_body={"input_reference": "{" * 100_000})
    with pytest.raises(openai.BadRequestError, match="divisible by 8"):
        create(client, size="65x64")
    with pytest.raises(openai.BadRequestError, match="private address"):
        reference = {"input_reference[image_url]": "https://127.0.0.1/a.png"}
        create(client, input_reference=openai.omit, extra_body=reference)
    with pytest.raises(openai.NotFoundError, match="image-to-video"):
        client.images.generate(prompt="a")


def test_videos_of_other_pipelines_are_not_here(text_to_image: ServerProcess) -> None:
    client = client_of(text_to_image)
    for call in (lambda: create(client), client.videos.list, lambda: client.videos.retrieve("x")):
        with pytest.raises(openai.NotFoundError, match="text-to-image with some/model"):
            call()
