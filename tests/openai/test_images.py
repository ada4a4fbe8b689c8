"""OpenAI's images by its own client: generations, edits, formats, errors."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.client_servers import MakeServer
from tests.gate import Gate
from tests.openai.conftest import client_of, opened, pixels
from tests.pictures import picture
from tests.server import ServerProcess

SMALL: dict[str, Any] = {"prompt": "a lake", "size": "64x32"}
QUICK: dict[str, Any] = {"num_inference_steps": 2, "seed": 7}


def test_generation_with_the_pipelines_own_parameters(text_to_image: ServerProcess) -> None:
    answer = client_of(text_to_image).images.generate(**SMALL, n=2, extra_body=QUICK)
    assert answer.size == "64x32"
    assert answer.output_format == "png"
    assert answer.data is not None
    assert [image.model_dump()["seed"] for image in answer.data] == [7, 8]
    for image, seed in zip(answer.data, (7, 8), strict=True):
        assert pixels(image.b64_json).shape == (32, 64, 3)
        assert (pixels(image.b64_json) == seed).all()


def test_generation_by_the_asynchronous_client(text_to_image: ServerProcess) -> None:
    async def generate() -> Any:
        async with openai.AsyncOpenAI(
            base_url=f"{text_to_image.url}/v1", api_key="unused"
        ) as client:
            return await client.images.generate(**SMALL, extra_body=QUICK)

    answer = asyncio.run(generate())
    assert (pixels(answer.data[0].b64_json) == 7).all()


def test_usage_counts_patches_and_text(text_to_image: ServerProcess) -> None:
    answer = client_of(text_to_image).images.generate(
        prompt="a" * 9, size="64x40", n=3, extra_body=QUICK
    )
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.text_tokens == 3
    assert answer.usage.input_tokens_details.image_tokens == 0
    assert answer.usage.output_tokens == 3 * 4 * 3
    assert answer.usage.total_tokens == 3 + 36


@pytest.mark.parametrize("size", [openai.omit, "auto", None])
def test_size_left_to_the_model(make_server: MakeServer, size: Any) -> None:
    server = make_server(MODEL_ID="stabilityai/sd-turbo")
    answer = client_of(server).images.generate(prompt="a", size=size, extra_body=QUICK)
    assert answer.size == "512x512"


def test_size_of_the_pipelines_own_fields(text_to_image: ServerProcess) -> None:
    extra = QUICK | {"width": 96, "height": 64}
    answer = client_of(text_to_image).images.generate(prompt="a", extra_body=extra)
    assert answer.size == "96x64"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_formats(text_to_image: ServerProcess, kind: Any) -> None:
    answer = client_of(text_to_image).images.generate(**SMALL, output_format=kind, extra_body=QUICK)
    assert answer.output_format == kind
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).format == kind.upper()


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_compression_is_honoured(image_to_image: ServerProcess, kind: Any) -> None:
    def data(compression: int) -> str | None:
        answer = client_of(image_to_image).images.edit(
            image=picture(), prompt="a", output_format=kind, output_compression=compression,
            extra_body=QUICK | {"seed": 77},
        )  # fmt: skip
        assert answer.data is not None
        return answer.data[0].b64_json

    assert data(0) != data(100)
    assert data(1) == data(0)


def test_images_by_url(text_to_image: ServerProcess) -> None:
    answer = client_of(text_to_image).images.generate(
        **SMALL, response_format="url", output_format="webp", extra_body=QUICK
    )
    assert answer.data is not None
    url = answer.data[0].url or ""
    assert url.startswith(f"{text_to_image.url}/stream/")
    with text_to_image.client() as client:
        response = client.get(url)
    assert response.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(response.content)).size == (64, 32)


def test_no_room_for_a_file_brings_it_along(make_server: MakeServer) -> None:
    server = make_server(MEDIA_LIMIT_MB=0)
    answer = client_of(server).images.generate(**SMALL, response_format="url", extra_body=QUICK)
    assert answer.data is not None
    assert (answer.data[0].url or "").startswith("data:image/png;base64,")


def test_fields_without_a_meaning_here_are_ignored(text_to_image: ServerProcess) -> None:
    whole = client_of(text_to_image).images.with_raw_response.generate(
        **SMALL, background="transparent", quality="hd", moderation="low", style="vivid",
        user="me", extra_body=QUICK,
    )  # fmt: skip
    answer = whole.parse()
    assert answer.background == "opaque"
    assert answer.model_dump()["quality"] == "auto"
    assert "warning" not in whole.headers


SLIP = '199 - "sede is no field and was ignored: seed is one"'


@pytest.mark.parametrize("stream", [True, False])
def test_a_slip_in_a_field_is_told(text_to_image: ServerProcess, stream: bool) -> None:
    asked = {**SMALL, **QUICK, "sede": 3, "style": "vivid", "stream": stream}
    answer = httpx.post(f"{text_to_image.url}/v1/images/generations", json=asked)
    assert answer.headers["warning"] == SLIP


def test_a_slip_in_an_edits_field_is_told(image_to_image: ServerProcess) -> None:
    asked = {"prompt": "a lake", "sede": "3", "user": "me"}
    answer = httpx.post(
        f"{image_to_image.url}/v1/images/edits", data=asked, files={"image[]": picture()}
    )
    assert answer.headers["warning"] == SLIP


def test_edit_follows_the_images_size(image_to_image: ServerProcess) -> None:
    answer = client_of(image_to_image).images.edit(
        image=picture(48, 40), prompt="a lake", n=2, extra_body=QUICK | {"strength": 0.5}
    )
    assert answer.size == "48x40"
    assert answer.data is not None
    assert [image.model_dump()["seed"] for image in answer.data] == [7, 8]
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == 3 * 3


def test_edit_at_a_size(image_to_image: ServerProcess) -> None:
    answer = client_of(image_to_image).images.edit(
        image=[("a.png", picture(50, 200))], prompt="a", size="64x64", extra_body=QUICK
    )  # fmt: skip
    assert answer.size == "64x64"


def test_an_empty_mask_is_none(image_to_image: ServerProcess) -> None:
    with image_to_image.client() as client:
        answer = client.post(
            "/v1/images/edits",
            data={"prompt": "a", **QUICK, "mask": ""},
            files={"image": picture()},
        )
        assert answer.status_code == 200, answer.text


def test_text_is_no_image(image_to_image: ServerProcess) -> None:
    with image_to_image.client() as client:
        data = {"prompt": "a", "image": "https://example.com/cat.png"}
        error = client.post("/v1/images/edits", data=data).json()["error"]
    assert error["message"] == "image: send a file, not text"
    assert error["param"] == "image"


def test_edit_refuses_what_the_pipeline_does_not_take(image_to_image: ServerProcess) -> None:
    client = client_of(image_to_image)
    with pytest.raises(openai.BadRequestError, match="takes none") as refused:
        client.images.edit(image=picture(), mask=picture(), prompt="a")
    assert refused.value.param == "mask"
    with pytest.raises(openai.BadRequestError, match="2 were sent") as refused:
        client.images.edit(image=[picture(), picture()], prompt="a")
    assert refused.value.param == "image"
    with pytest.raises(openai.BadRequestError, match="not an image"):
        client.images.edit(image=b"no picture", prompt="a")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"size": "65x64"}, None),
        ({"size": "large"}, "size"),
        ({"n": 0}, "n"),
        ({"n": 99}, None),
        ({"output_compression": 101}, "output_compression"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_format": "gif"}, "output_format"),
        ({"partial_images": 4}, "partial_images"),
        ({"prompt": "  "}, None),
        ({"extra_body": {"guidance_scale": -1}}, "guidance_scale"),
        ({"extra_body": {"num_inference_steps": 100_000}}, None),
    ],
)
def test_bad_requests(
    text_to_image: ServerProcess, fields: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client_of(text_to_image).images.generate(**SMALL | fields)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param == param
    assert refused.value.message


def test_a_body_that_is_no_json(text_to_image: ServerProcess) -> None:
    with text_to_image.client() as client:
        response = client.post(
            "/v1/images/generations",
            content=b'{"prompt": ',
            headers={"Content-Type": "application/json"},
        )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "body"


def test_what_is_not_loaded_names_what_is(text_to_image: ServerProcess) -> None:
    client = client_of(text_to_image)
    with pytest.raises(openai.NotFoundError, match="text-to-image with some/model"):
        client.images.edit(image=picture(), prompt="a")
    with pytest.raises(openai.NotFoundError, match="runs some/model") as refused:
        client.images.generate(**SMALL, model="gpt-image-1")
    assert refused.value.code == "model_not_found"
    with text_to_image.client() as plain:
        assert plain.get("/v1/nothing").json()["error"]["type"] == "not_found_error"


def test_models(text_to_image: ServerProcess) -> None:
    client = client_of(text_to_image)
    [model] = client.models.list().data
    assert (model.id, model.owned_by) == ("some/model", "some")
    assert client.models.retrieve("some/model") == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


def test_failures_of_the_worker(text_to_image: ServerProcess) -> None:
    with pytest.raises(openai.InternalServerError, match="Out of memory") as failed:
        client_of(text_to_image).images.generate(prompt="oom", size="64x64")
    assert (failed.value.type, failed.value.code) == ("server_error", "out_of_memory")


def test_the_token_guards_everything_below_v1(make_server: MakeServer) -> None:
    server = make_server(AUTH_TOKEN="s3cret")
    for call in (client_of(server).models.list, lambda: client_of(server).images.generate(**SMALL)):
        with pytest.raises(openai.AuthenticationError) as refused:
            call()
        assert refused.value.code == "invalid_api_key"
    assert client_of(server, "s3cret").images.generate(**SMALL, extra_body=QUICK).data


def test_a_full_queue_says_when_to_come_back(make_server: MakeServer, tmp_path: Any) -> None:
    gate = Gate(tmp_path)
    gate.close()
    server = make_server(QUEUE_LIMIT=0)
    with server.client() as client:
        body = SMALL | QUICK
        with client.stream("POST", "/v1/images/generations", json=body | {"stream": True}):
            gate.wait_reached()
            with pytest.raises(openai.InternalServerError) as refused:
                client_of(server).images.generate(**SMALL)
    assert refused.value.status_code == 503
    assert (refused.value.type, refused.value.code) == ("overloaded_error", "overloaded")
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    gate.open()
