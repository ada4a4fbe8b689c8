"""One prompt and seed make one image, whichever protocol asks; the demo model makes it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient
from PIL import Image

from tests.openai.conftest import client_of
from tests.server import ROOT, ServerProcess

PROMPT = "snowy mountains at night with a full moon"
EXTRA = {"seed": 42, "num_inference_steps": 6, "guidance_scale": 5.0}
SIZE = {"width": 128, "height": 128}

pytestmark = pytest.mark.skipif(
    not (ROOT / "demo/image/model_index.json").exists(), reason="the demo model is not here"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("demo")
    settings = {"PIPELINE": "text-to-image", "MODEL_ID": "demo", "DATA_DIR": folder}
    with ServerProcess(settings) as process:
        yield process.wait_ready(300)


@pytest.fixture(scope="module")
def reference(server: ServerProcess) -> np.ndarray:
    """By the Livepeer route."""
    body = {"prompt": PROMPT} | EXTRA | SIZE
    answer = httpx.post(f"{server.url}/text-to-image", json=body, timeout=300).json()
    return decoded(answer["images"][0]["url"].partition(",")[2])


def decoded(b64_json: str | None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64_json or ""))))


def test_openai(server: ServerProcess, reference: np.ndarray) -> None:
    answer = client_of(server).images.generate(prompt=PROMPT, size="128x128", extra_body=EXTRA)
    assert answer.data is not None
    assert (decoded(answer.data[0].b64_json) == reference).all()


def test_openai_stream(server: ServerProcess, reference: np.ndarray) -> None:
    """The previews come nearer to the image, which they leave as it is."""
    *partials, completed = client_of(server).images.generate(
        prompt=PROMPT, size="128x128", stream=True, partial_images=2, extra_body=EXTRA
    )
    assert (decoded(completed.b64_json) == reference).all()
    final = reference.astype(float)
    distances = [np.abs(decoded(partial.b64_json) - final).mean() for partial in partials]
    assert len(distances) == 2
    assert distances[1] < distances[0]


def test_a_stream_leaves_its_neighbours_pixels_alone(
    server: ServerProcess, reference: np.ndarray
) -> None:
    """Sharing a forward rounds the last bits differently; it never shows by more than a level."""
    longer = {**EXTRA, "num_inference_steps": 40}
    stream = client_of(server).images.generate(
        prompt="the sea", size="128x128", stream=True, partial_images=3, extra_body=longer
    )
    events = iter(stream)
    assert next(events).type == "image_generation.partial_image"
    body = {"prompt": PROMPT} | EXTRA | SIZE
    answer = httpx.post(f"{server.url}/text-to-image", json=body, timeout=300).json()
    neighbour = decoded(answer["images"][0]["url"].partition(",")[2])
    assert [event.type for event in events][-1] == "image_generation.completed"
    assert np.abs(neighbour.astype(int) - reference).max() <= 1


def test_hugging_face(server: ServerProcess, reference: np.ndarray) -> None:
    client = InferenceClient(model=f"{server.url}/models/demo", timeout=300)
    image = client.text_to_image(PROMPT, **SIZE, **EXTRA)  # type: ignore[arg-type]
    assert (np.asarray(image) == reference).all()


def test_runpod(server: ServerProcess, reference: np.ndarray) -> None:
    body = {"input": {"prompt": PROMPT} | EXTRA | SIZE}
    answer = httpx.post(f"{server.url}/runsync", json=body, timeout=300).json()
    assert (decoded(answer["output"]["body"]) == reference).all()


def test_auto_is_the_models_own_size(server: ServerProcess) -> None:
    answer = client_of(server).images.generate(prompt=PROMPT, extra_body=EXTRA)
    assert answer.size == "128x128"
    with pytest.raises(openai.BadRequestError, match="64 to 192"):
        client_of(server).images.generate(prompt=PROMPT, size="512x512")
