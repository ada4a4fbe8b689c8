"""`python -m tests.page.pictures`: what the README shows of the demo model, each by one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from PIL import Image

from tests.pictures import opened
from tests.server import ROOT, ServerProcess

FOLDER = ROOT / "docs" / "images"
MOON = {"prompt": "snowy mountains at night with a full moon", "seed": 42}
SHEET = (
    "a red house by the sea at sunset",
    "green hills at noon with clouds and a sun on the right",
    "a cactus in the desert at sunset",
    "a boat on the sea at night with a crescent moon",
    "a purple house in the mountains at dawn",
    "a forest on green hills at dawn with a sun",
    "the sea at dawn with a sun in the middle",
    "snowy mountains at noon with trees and clouds",
    "a yellow house in the desert at night with stars",
    "a blue house on the left by the sea at noon with a boat",
    "mountains at sunset with clouds",
    "green hills at night with a full moon, stars and trees",
)
COLUMNS = 4
SHARP = {"num_inference_steps": 8, "guidance_scale": 3, "seed": 7}
"""As the model card recommends."""
DESERT = {"prompt": "a desert at sunset", "strength": 0.8, "seed": 7}
MOVING = {"motion_bucket_id": 180, "fps": 7, "seed": 7}


def ask(
    pipeline: str, requests: Sequence[Mapping[str, Any]], upload: bytes | None = None
) -> list[dict[str, Any]]:
    """Answers of the service, with the demo model."""
    with TemporaryDirectory() as folder:
        settings = {"PIPELINE": pipeline, "MODEL_ID": "demo", "DATA_DIR": folder}
        with ServerProcess(settings) as server:
            url = f"{server.wait_ready(300).url}/{pipeline}"
            return [_answer(url, _body(it, upload)) for it in requests]


def _answer(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(url, **body, timeout=300).raise_for_status().json()
    return answer


def _body(request: Mapping[str, Any], upload: bytes | None) -> dict[str, Any]:
    """JSON, or a form where there is an image."""
    if upload is None:
        return {"json": dict(request)}
    return {"data": dict(request), "files": {"image": upload}}


def picture(media: Mapping[str, Any]) -> Image.Image:
    """The image of a data URL."""
    return opened(media["url"]).convert("RGB")


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size, side by side."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * width, rows * height))
    for number, one in enumerate(pictures):
        whole.paste(one, (number % COLUMNS * width, number // COLUMNS * height))
    return whole


def written(image: Image.Image, name: str) -> Path:
    """Keep a picture for the README."""
    path = FOLDER / name
    image.save(path, optimize=True)
    return path


def main() -> None:
    """Make all of them."""
    requests = [MOON, *(SHARP | {"prompt": prompt} for prompt in SHEET)]
    moon, *others = (picture(it["images"][0]) for it in ask("text-to-image", requests))
    path = written(moon, "moon.png")
    written(sheet(others), "contact-sheet.png")
    (answer,) = ask("image-to-image", [DESERT], path.read_bytes())
    written(picture(answer["images"][0]), "desert.png")
    (answer,) = ask("image-to-video", [MOVING], path.read_bytes())
    first, *rest = map(picture, answer["frames"][0])
    first.save(
        FOLDER / "moving.webp", save_all=True, append_images=rest, duration=1000 // 7, loop=0
    )


if __name__ == "__main__":
    main()
