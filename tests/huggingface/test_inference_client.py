"""Hugging Face's InferenceClient, pointed at a server's URL."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from tests.client_servers import MakeServer
from tests.pictures import picture
from tests.server import ServerProcess

SMALL: dict[str, Any] = {"width": 64, "height": 32, "num_inference_steps": 2, "seed": 7}
PATHS = ("/models/some/model", "", "/")


def client_of(server: ServerProcess, path: str = "", token: str | None = None) -> InferenceClient:
    return InferenceClient(model=server.url + path, token=token)


def refusal(error: HfHubHTTPError) -> str:
    assert error.response.headers["content-type"] == "application/json"
    message: str = error.response.json()["error"]
    return message


@pytest.mark.parametrize("path", PATHS)
def test_text_to_image(text_to_image: ServerProcess, path: str) -> None:
    image = client_of(text_to_image, path).text_to_image(
        "a lake", negative_prompt="fog", guidance_scale=5, scheduler="ignored", **SMALL
    )
    assert image.format == "PNG"
    assert image.size == (64, 32)
    assert (np.asarray(image) == 7).all()


def test_a_slip_in_a_parameter_is_told(text_to_image: ServerProcess) -> None:
    asked = {"inputs": "a lake", "parameters": {**SMALL, "sede": 3, "target_size": None}}
    answer = httpx.post(f"{text_to_image.url}/models/some/model", json=asked)
    assert answer.headers["warning"] == '199 - "sede is no field and was ignored: seed is one"'


def test_the_asynchronous_client(text_to_image: ServerProcess) -> None:
    client = AsyncInferenceClient(model=f"{text_to_image.url}/models/some/model")
    image = asyncio.run(client.text_to_image("a lake", **SMALL))
    assert (np.asarray(image) == 7).all()


def test_image_to_image(image_to_image: ServerProcess) -> None:
    image = client_of(image_to_image).image_to_image(
        picture(48, 40), prompt="a lake", num_inference_steps=2, guidance_scale=5, seed=9
    )
    assert image.size == (48, 40)
    assert (np.asarray(image) == 9).all()


def test_image_to_image_at_a_size(image_to_image: ServerProcess) -> None:
    image = client_of(image_to_image).image_to_image(
        picture(48, 40),
        prompt="a",
        target_size={"width": 64, "height": 32},  # type: ignore[arg-type]
    )
    assert image.size == (64, 32)


@pytest.mark.parametrize("parameters", [{}, {"strength": 0.5, "num_inference_steps": 2}])
def test_an_image_without_a_prompt(
    image_to_image: ServerProcess, parameters: dict[str, Any]
) -> None:
    image = client_of(image_to_image).image_to_image(picture(48, 40), **parameters)
    assert image.size == (48, 40)


@pytest.mark.parametrize("parameters", [{}, {"prompt": "a lake"}])
def test_an_image_for_a_pipeline_of_texts(
    text_to_image: ServerProcess, parameters: dict[str, Any]
) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        client_of(text_to_image).image_to_image(picture(), **parameters)
    assert refused.value.response.status_code == 400
    assert (
        "This server runs text-to-image with some/model: put the prompt into `inputs`."
        in refusal(refused.value)
    )


@pytest.mark.parametrize("prompt", ["a lake", "mountain"])  # the latter could be base64
def test_a_text_for_a_pipeline_of_images(image_to_image: ServerProcess, prompt: str) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        client_of(image_to_image).text_to_image(prompt)
    assert refused.value.response.status_code == 400
    assert "This server runs image-to-image with some/model" in refusal(refused.value)


def test_a_bare_image_becomes_a_video(image_to_video: ServerProcess) -> None:
    with image_to_video.client() as client:
        response = client.post("/models/some/model", content=picture())
    assert response.headers["content-type"] == "video/mp4"
    assert response.content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/jpeg", "JPEG"),
        ("text/html, image/webp;q=0.9, image/png", "WEBP"),
        ("*/*", "PNG"),
    ],
)
def test_accept_chooses_the_format(text_to_image: ServerProcess, accept: str, kind: str) -> None:
    body = {"inputs": "a", "parameters": SMALL}
    with text_to_image.client() as client:
        response = client.post("/", json=body, headers={"Accept": accept})
    assert Image.open(io.BytesIO(response.content)).format == kind
    assert response.headers["content-type"] == f"image/{kind.lower()}"
    assert response.headers["x-seed"] == "7"
    assert response.headers["x-nsfw"] == "false"
    assert "inference" in response.headers["server-timing"]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"width": 65}, "divisible by 8"),
        ({"num_inference_steps": "many"}, "num_inference_steps"),
        ({"num_images_per_prompt": 2}, "one image"),
        ({"target_size": {"width": 64}}, "parameters.target_size.height"),
    ],
)
def test_bad_requests(
    text_to_image: ServerProcess, parameters: dict[str, object], text: str
) -> None:
    body = {"inputs": "a", "parameters": SMALL | parameters}
    with text_to_image.client() as client:
        response = client.post("/", json=body)
    assert response.status_code == 400
    assert text in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"inputs": 3}', b"\xff\xd8\xff"])
def test_bodies_that_are_no_request(text_to_image: ServerProcess, body: bytes) -> None:
    with text_to_image.client() as client:
        response = client.post("/", content=body)
    assert response.status_code == 400
    assert response.json()["error"]


def test_another_model_is_not_here(text_to_image: ServerProcess) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        client_of(text_to_image, "/models/another/model").text_to_image("a")
    assert refused.value.response.status_code == 404
    assert "some/model" in refusal(refused.value)


def test_the_token(make_server: MakeServer) -> None:
    server = make_server(AUTH_TOKEN="s3cret")
    for path in PATHS:
        with pytest.raises(HfHubHTTPError) as refused:
            client_of(server, path, "wrong").text_to_image("a")
        assert refused.value.response.status_code == 401
        assert refusal(refused.value) == "Invalid bearer token."
        assert client_of(server, path, "s3cret").text_to_image("a", **SMALL).size == (64, 32)
    with server.client() as client:
        assert client.get("/").status_code == 200


def test_failures_are_worded_its_way(text_to_image: ServerProcess, tmp_path: Path) -> None:
    with text_to_image.client() as client:
        response = client.post("/", json={"inputs": "oom", "parameters": SMALL})
    assert response.status_code == 500
    assert response.json()["error"].startswith("Out of memory")
