"""Images that come about before the eyes of OpenAI's client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from app.routes.openai.partials import preview_interval
from tests.client_servers import MakeServer
from tests.gate import Gate
from tests.openai.conftest import client_of, opened, pixels
from tests.pictures import picture
from tests.server import ServerProcess
from tests.waiting import wait_until

SMALL: dict[str, Any] = {"prompt": "a lake", "size": "64x32", "stream": True}
EXTRA = {"num_inference_steps": 8, "seed": 7}


def test_partial_images_then_the_image(text_to_image: ServerProcess) -> None:
    *partials, completed = client_of(text_to_image).images.generate(
        **SMALL, partial_images=3, extra_body=EXTRA
    )
    assert [event.type for event in partials] == ["image_generation.partial_image"] * 3
    assert [event.partial_image_index for event in partials] == [0, 1, 2]
    assert [int(pixels(event.b64_json)[0, 0, 0]) for event in partials] == [2, 4, 6]
    assert completed.type == "image_generation.completed"
    assert (pixels(completed.b64_json) == 7).all()
    assert completed.usage.output_tokens == 8
    for event in (*partials, completed):
        assert pixels(event.b64_json).shape == (32, 64, 3)
        assert (event.size, event.output_format) == ("64x32", "png")
        assert (event.background, event.quality) == ("opaque", "auto")


def test_previews_follow_the_steps_that_the_model_dictates(make_server: MakeServer) -> None:
    server = make_server(MODEL_ID="ByteDance/SDXL-Lightning-4step")
    *partials, _ = client_of(server).images.generate(
        **SMALL, partial_images=3, extra_body=EXTRA | {"num_inference_steps": 50}
    )
    assert [int(pixels(event.b64_json)[0, 0, 0]) for event in partials] == [1, 2, 3]


def test_the_asynchronous_client(text_to_image: ServerProcess) -> None:
    async def kinds() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{text_to_image.url}/v1", api_key="unused"
        ) as client:
            stream = await client.images.generate(**SMALL, partial_images=1, extra_body=EXTRA)
            return [event.type async for event in stream]

    assert asyncio.run(kinds()) == ["image_generation.partial_image", "image_generation.completed"]


def test_edits_in_a_chosen_format(image_to_image: ServerProcess) -> None:
    partial, completed = client_of(image_to_image).images.edit(
        image=picture(48, 40), prompt="a", stream=True, partial_images=1,
        output_format="jpeg", extra_body=EXTRA,
    )  # fmt: skip
    assert partial.type == "image_edit.partial_image"
    assert completed.type == "image_edit.completed"
    for event in (partial, completed):
        assert opened(event.b64_json).format == "JPEG"
        assert opened(event.b64_json).size == (48, 40)


def test_none_wanted_none_sent(text_to_image: ServerProcess) -> None:
    events = list(client_of(text_to_image).images.generate(**SMALL, n=2, extra_body=EXTRA))
    assert [event.type for event in events] == ["image_generation.completed"] * 2


def test_events_are_exactly_the_contracts(text_to_image: ServerProcess) -> None:
    body = SMALL | EXTRA | {"partial_images": 1}
    with text_to_image.client() as client:
        response = client.post("/v1/images/generations", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    shared = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format"}
    for text, own in zip(
        response.text.strip().split("\n\n"),
        ({"partial_image_index"}, {"usage", "seed", "nsfw"}),
        strict=True,
    ):
        name, data = text.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event.keys() == shared | own


def test_a_failure_is_the_streams_last_word(text_to_image: ServerProcess) -> None:
    stream = client_of(text_to_image).images.generate(
        prompt="oom", size="64x32", stream=True, partial_images=1
    )
    with pytest.raises(openai.APIError, match="Out of memory"):
        list(stream)


def test_a_bad_request_is_refused_before_the_stream(text_to_image: ServerProcess) -> None:
    with pytest.raises(openai.BadRequestError):
        client_of(text_to_image).images.generate(prompt="a", size="65x64", stream=True)


def test_leaving_the_stream_cancels_at_the_next_step(
    make_server: MakeServer, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    server = make_server(PREVIEWS="true")
    gate.close()
    stream = client_of(server).images.generate(**SMALL, partial_images=3, extra_body=EXTRA)
    gate.wait_reached()
    stream.close()
    wait_until(lambda: "outcome=JobCancelled" in server.log)
    gate.open()
    assert list(client_of(server).images.generate(**SMALL, extra_body=EXTRA))


@pytest.mark.parametrize("partial_images", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7, 10, 25, 50])
def test_previews_are_spread_over_the_steps(steps: int, partial_images: int) -> None:
    every = preview_interval(steps, partial_images)
    before_the_last = len(range(every, steps, every))
    assert before_the_last >= min(partial_images, steps - 1)
    gaps = [every, steps - every * min(partial_images, before_the_last)]
    assert max(gaps) <= max(2, 2 * steps / (partial_images + 1))


def test_no_previews_unless_asked_for() -> None:
    assert preview_interval(50, 0) == 0
