"""The clients that users use: the Livepeer SDK, curl, and a fuzzer of the API's own schema."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from livepeer_ai import Livepeer
from livepeer_ai.models import components

from tests.pictures import picture
from tests.server import ServerProcess, fake_server


def serve(folder: Path, pipeline: str) -> ServerProcess:
    return fake_server(folder, pipeline, AUTH_TOKEN="s3cret")


@pytest.fixture(params=["text-to-image", "image-to-image", "image-to-video"])
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, ServerProcess]]:
    with serve(tmp_path, request.param) as running:
        yield request.param, running


def test_the_livepeer_sdk(tmp_path: Path) -> None:
    with serve(tmp_path, "text-to-image") as running:
        sdk = Livepeer(server_url=running.url, http_bearer="s3cret")
        answer = sdk.generate.text_to_image(
            request={"prompt": "a", "model_id": "some/model", "width": 64, "height": 64, "seed": 3}
        )
        (image,) = answer.image_response.images
        assert image.seed == 3
        assert image.url.startswith("data:image/png;base64,")


@pytest.mark.parametrize("pipeline", ["image-to-image", "image-to-video"])
def test_the_livepeer_sdk_with_images(tmp_path: Path, pipeline: str) -> None:
    with serve(tmp_path, pipeline) as running:
        sdk = Livepeer(server_url=running.url, http_bearer="s3cret")
        file = {"file_name": "a.png", "content": picture(64, 64)}
        if pipeline == "image-to-image":
            answer = sdk.generate.image_to_image(
                request={"prompt": "a", "image": file, "model_id": "some/model"}
            )
            images = answer.image_response.images
        else:
            answer = sdk.generate.image_to_video(
                request={"image": file, "model_id": "some/model", "width": 64, "height": 64}
            )
            images = answer.video_response.images
        assert len(images) == 1
        assert isinstance(images[0], components.Media)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(service: tuple[str, ServerProcess], tmp_path: Path) -> None:
    pipeline, running = service
    file = tmp_path / "input.png"
    file.write_bytes(picture(64, 64))
    forms = ["-F", f"image=@{file}", "-F", "num_inference_steps=2"]
    bodies = {
        "text-to-image": ["-H", "Content-Type: application/json", "-d", '{"prompt": "a"}'],
        "image-to-image": [*forms, "-F", "prompt=a"],
        "image-to-video": [*forms, "-F", "width=64", "-F", "height=64"],
    }
    command = ["curl", "-sS", "-X", "POST", f"{running.url}/{pipeline}", *bodies[pipeline]]
    token = ["-H", "Authorization: Bearer s3cret"]
    answer = json.loads(subprocess.run([*command, *token], capture_output=True, check=True).stdout)
    assert answer["images"][0]["url"].startswith("data:")
    refused = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert refused == {"detail": {"msg": "Invalid bearer token."}}


def test_no_request_that_fits_the_schema_makes_a_500(
    service: tuple[str, ServerProcess], tmp_path: Path
) -> None:
    pipeline, running = service
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json"),
        *("--header", "Authorization: Bearer s3cret"),
        *("--checks", "not_a_server_error,content_type_conformance,response_schema_conformance"),
        *("--include-path-regex", f"/(health|version|hardware/.*|{pipeline})$"),
        *("--max-examples", "25", "--seed", "1", "--phases", "examples,coverage,fuzzing"),
        *("--request-timeout", "60", "--generation-database", "none"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
