"""The Livepeer routes: fields, coercions, bodies and error texts of the contract."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import MakeClient
from tests.pictures import opened, picture

SMALL = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 1}


def png_of(media: dict[str, Any]) -> np.ndarray:
    head, _, data = media["url"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(opened(data))


def post_image(
    client: httpx.Client, path: str, image: bytes | None = None, **fields: str
) -> httpx.Response:
    file = picture() if image is None else image
    files = {"image": ("a.png", file, "application/octet-stream")}
    return client.post(path, data=fields, files=files)


def message(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    return response.json()["detail"]["msg"]


def test_images_carry_their_seeds(client: httpx.Client) -> None:
    body = SMALL | {"seed": 7, "num_images_per_prompt": 3}
    response = client.post("/text-to-image", json=body)
    images = response.json()["images"]
    assert [image["seed"] for image in images] == [7, 8, 9]
    assert [image["nsfw"] for image in images] == [False] * 3
    for image in images:
        pixels = png_of(image)
        assert pixels.shape == (32, 64, 3)
        assert (pixels == image["seed"]).all()


def test_contract_size_where_the_model_has_none_of_its_own(client: httpx.Client) -> None:
    response = client.post("/text-to-image", json={"prompt": "a"})
    assert png_of(response.json()["images"][0]).shape == (576, 1024, 3)


def test_random_seeds_differ_and_fit_32_bits(client: httpx.Client) -> None:
    seeds = {
        client.post("/text-to-image", json=SMALL).json()["images"][0]["seed"] for _ in range(5)
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": "64"},
        {"width": 64.0},
        {"safety_check": "yes"},
        {"safety_check": "false"},
        {"seed": None},
        {"unknown_field": [1, 2]},
        {"model_id": ""},
        {"model_id": "some/model"},
        {"loras": ""},
        {"loras": "{}"},
        {"num_inference_steps": 0},
        {"negative_prompt": "a|b|c"},
        {"prompt": "a | b | c | d | e"},
        {"guidance_scale": 0},
    ],
)
def test_accepts_what_clients_send(client: httpx.Client, changes: dict[str, Any]) -> None:
    response = client.post("/text-to-image/", json=SMALL | changes)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model_id": "other/model"},
            "pipeline configured with some/model but called with other/model.",
        ),
        ({"prompt": " | "}, "Prompt must be provided."),
        ({"prompt": ""}, "Prompt must be provided."),
        ({"width": 100}, "`height` and `width` have to be divisible by 8 but are 32 and 100."),
        ({"width": 8192, "height": 8192}, "MAX_PIXELS"),
        ({"num_inference_steps": 201}, "MAX_STEPS"),
        ({"num_images_per_prompt": 11}, "MAX_IMAGES_PER_PROMPT"),
        ({"loras": "{"}, "not valid JSON"),
        ({"loras": "[]"}, "JSON object"),
        ({"loras": '{"a/b": -1}'}, "number of 0 or more"),
        ({"loras": '{"a/b": NaN}'}, "number of 0 or more"),
        ({"loras": '{"a/b": 1}'}, "a/b is not among the models"),
        ({"loras": '{"../../etc": 1}'}, "not among the models"),
        ({"loras": json.dumps({f"a/{i}": 1 for i in range(5)})}, "at most 4"),
    ],
)
def test_refuses_what_cannot_be_served(
    client: httpx.Client, changes: dict[str, Any], says: str
) -> None:
    response = client.post("/text-to-image", json=SMALL | changes)
    assert response.status_code == 400
    assert says in message(response)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", 5),
        ("prompt", "x" * 10_001),
        ("prompt", "\ud800"),
        ("width", 0),
        ("width", -64),
        ("width", "wide"),
        ("width", 10**30),
        ("width", 64.5),
        ("guidance_scale", float("nan")),
        ("guidance_scale", float("inf")),
        ("guidance_scale", -1),
        ("seed", 2**63),
        ("seed", "abc"),
        ("num_images_per_prompt", 0),
        ("safety_check", "perhaps"),
        ("loras", {"a": 1}),
    ],
)
def test_names_the_field_that_does_not_fit(client: httpx.Client, field: str, value: object) -> None:
    body = json.dumps(SMALL | {field: value})
    response = client.post(
        "/text-to-image", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    (issue,) = response.json()["detail"]
    assert issue["loc"] == ["body", field]
    assert set(issue) == {"loc", "msg", "type"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"prompt":' * 5000,
        b'{"seed": 1' + b"0" * 5000 + b"}",
    ],
)
def test_garbage_is_never_our_fault(client: httpx.Client, body: bytes) -> None:
    response = client.post(
        "/text-to-image", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 422)
    assert "detail" in response.json()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"prompt": "\xff"}', "not UTF-8"),
        (b"[" * 40_000, "too deeply nested"),
        (b'{"prompt": "a", "seed": 1' + b"0" * 5000 + b"}", "too long a number"),
    ],
)
@pytest.mark.parametrize("path", ["/text-to-image", "/v1/images/generations"])
def test_what_the_parser_could_not_take_is_said(
    client: httpx.Client, path: str, body: bytes, says: str
) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert says in response.text


def test_no_body_at_all_is_told_what_to_send(client: httpx.Client) -> None:
    (issue,) = client.post("/text-to-image").json()["detail"]
    assert issue["msg"] == "Send a JSON object, with Content-Type: application/json."


def test_image_to_image_takes_forms(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image")
    response = post_image(
        client,
        "/image-to-image",
        prompt="a",
        strength="0.500000",
        seed="",
        safety_check="true",
        num_inference_steps="2",
    )
    assert response.status_code == 200, response.text
    assert len(response.json()["images"]) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"no image at all", "image"),
        (picture()[:60], "image"),
    ],
)
def test_garbage_uploads_are_refused(make_client: MakeClient, data: bytes, says: str) -> None:
    client = make_client(pipeline="image-to-image")
    response = post_image(client, "/image-to-image", data, prompt="a")
    assert response.status_code == 400
    assert says in message(response).lower()


def test_a_photo_of_a_phone_is_scaled_down(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image")
    response = post_image(client, "/image-to-image", picture(4032, 3024), prompt="a")
    assert response.status_code == 200, response.text
    assert png_of(response.json()["images"][0]).shape == (1768, 2360, 3)


def test_an_upload_has_a_limit_of_its_own(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image", max_upload_pixels=1919)
    response = post_image(client, "/image-to-image", picture(48, 40), prompt="a")
    assert response.status_code == 400
    assert "48x40 is more than 1919 pixels (MAX_UPLOAD_PIXELS)" in message(response)


def test_a_strip_too_long_for_an_answer_is_refused(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image")
    response = post_image(client, "/image-to-image", picture(16_400, 16), prompt="a")
    assert response.status_code == 400
    assert "at most 16376 pixels; these are 16400 × 16" in message(response)


def test_a_large_upload_needs_no_disk(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    buffer = io.BytesIO()
    Image.effect_noise((1600, 1000), 100).convert("RGB").save(buffer, "PNG")
    assert len(buffer.getvalue()) > 1024**2
    client = make_client(pipeline="image-to-image")
    response = post_image(client, "/image-to-image", buffer.getvalue(), prompt="a")
    assert response.status_code == 200, response.text


def test_a_form_without_image_names_it(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image")
    response = client.post("/image-to-image", data={"prompt": "a"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "image"]


@pytest.mark.parametrize(("prompt", "status"), [("", 422), (" ", 400), (" | ", 400)])
def test_a_form_with_a_blank_prompt_is_refused(
    make_client: MakeClient, prompt: str, status: int
) -> None:
    client = make_client(pipeline="image-to-image")
    response = post_image(client, "/image-to-image", prompt=prompt)
    assert response.status_code == status


def test_video_has_frames_and_an_mp4(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-video")
    response = post_image(
        client, "/image-to-video", width="64", height="64", num_inference_steps="2", seed="3"
    )
    answer = response.json()
    (frames,) = answer["frames"]
    assert [png_of(frame).shape for frame in frames] == [(64, 64, 3)] * 2
    assert all(frame["seed"] == 3 for frame in frames)
    (video,) = answer["images"]
    assert video["url"].startswith("data:video/mp4;base64,")
    assert base64.b64decode(video["url"].partition(",")[2])[4:8] == b"ftyp"


@pytest.mark.parametrize("size", [(333, 251), (16_400, 16)])
def test_a_video_takes_an_image_of_any_size(make_client: MakeClient, size: tuple[int, int]) -> None:
    client = make_client(pipeline="image-to-video")
    small = {"width": "64", "height": "64", "num_inference_steps": "2"}
    response = post_image(client, "/image-to-video", picture(*size), **small)
    assert response.status_code == 200, response.text


def test_video_size_error_is_the_contracts(make_client: MakeClient) -> None:
    response = post_image(
        make_client(pipeline="image-to-video"), "/image-to-video", width="100", height="60"
    )
    assert response.status_code == 400
    assert message(response) == (
        "`height` and `width` have to be divisible by 8 but are 60 and 100."
    )


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("oom", "Out of memory error. Try reducing output image resolution."),
        ("fail", "Text-to-image pipeline error."),
        ("always die", "The worker process ended during this job"),
    ],
)
def test_failures_are_json_and_the_next_request_works(
    client: httpx.Client, prompt: str, says: str
) -> None:
    response = client.post("/text-to-image", json=SMALL | {"prompt": prompt})
    assert response.status_code == 500
    assert says in message(response)
    assert client.post("/text-to-image", json=SMALL).status_code == 200


def test_a_worker_that_dies_costs_nobody_a_request(client: httpx.Client) -> None:
    assert client.post("/text-to-image", json=SMALL | {"prompt": "die"}).status_code == 200


def test_only_the_loaded_pipeline_has_a_route(client: httpx.Client) -> None:
    response = client.post("/image-to-image", data={"prompt": "a"})
    assert response.status_code == 404
    assert "this server runs text-to-image" in message(response)


def test_a_body_that_is_not_called_json_is_told_so(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says
    response = client.post("/text-to-image", content=b'{"prompt": "a"}', headers=headers)
    assert response.status_code == 422
    (issue,) = response.json()["detail"]
    assert "Content-Type: application/json" in issue["msg"]


def test_half_a_pair_of_surrogates_is_the_clients_fault(client: httpx.Client) -> None:
    response = client.post("/text-to-image", json={"prompt": "a", "loras": '{"\\ud800": 1}'})
    assert response.status_code == 400
    assert "\ud800" in message(response)


def test_wrong_method_is_json(client: httpx.Client) -> None:
    response = client.get("/text-to-image")
    assert response.status_code == 405
    assert message(response) == "Method Not Allowed"


def test_reports_where_the_time_went(client: httpx.Client) -> None:
    response = client.post("/text-to-image", json=SMALL)
    parts = response.headers["server-timing"].split(", ")
    assert [part.partition(";dur=")[0] for part in parts] == ["queue", "inference", "encode"]
    assert all(float(part.partition(";dur=")[2]) >= 0 for part in parts)


def test_the_clients_request_id_comes_back(client: httpx.Client) -> None:
    response = client.post("/text-to-image", json=SMALL, headers={"X-Request-Id": "order-66"})
    assert response.headers["x-request-id"] == "order-66"
    other = client.post("/text-to-image", json=SMALL, headers={"X-Request-Id": "bad id\t"})
    assert len(other.headers["x-request-id"]) == 32


def test_fields_that_are_slips_are_warned_of(make_client: MakeClient) -> None:
    body = {"prompt": "a", "width": 16, "height": 16, "sede": 3, "num_inference_steps": 2}
    answer = make_client().post("/text-to-image", json=body | {'"\r\n\u00e9': 1})
    assert answer.status_code == 200
    assert answer.headers["warning"] == '199 - "sede is no field and was ignored: seed is one"'
    form = {"prompt": "a", "num_inference_steps": "2", "strenght": "0.5"}
    client = make_client(pipeline="image-to-image")
    answer = client.post("/image-to-image", data=form, files={"image": picture()})
    assert answer.status_code == 200
    assert (
        '199 - "strenght is no field and was ignored: strength is one"' in answer.headers["warning"]
    )


def test_the_fields_of_a_route_are_not_warned_of(make_client: MakeClient) -> None:
    given = {"prompt": "a", "model_id": "", "safety_check": False, "num_inference_steps": 2}
    answer = make_client().post("/text-to-image", json=given | {"width": 16, "height": 16})
    assert "warning" not in answer.headers
