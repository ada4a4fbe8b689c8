"""The picture to start from: required, scaled down where it is large, dropped beside its field."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.page.conftest import OpenPage, Serve
from tests.page.using import generate, input_of
from tests.pictures import opened

PIXELS = 2048 * 2048
DRAG_FILE = """([selector, type]) => {
    const data = new DataTransfer();
    data.items.add(new File(["x"], "a.png", { type: "image/png" }));
    const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
    return document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.fixture
def page(serve: Serve, open_page: OpenPage) -> Page:
    return open_page(serve(PIPELINE="image-to-image"))


def choose(page: Page, path: Path, width: int, height: int) -> None:
    Image.new("RGB", (width, height), "teal").save(path)
    page.locator("input[type=file]").set_input_files(path)


def uploaded(page: Page) -> Image.Image:
    """The picture that a request carries."""
    with page.expect_request("**/run?*") as request:
        generate(page, "from a photo")
    url = input_of(request.value)["image"]
    return opened(url)


@pytest.mark.parametrize("name", ["photo.jpg", "drawing.png"])
def test_a_large_picture_is_scaled_down(page: Page, tmp_path: Path, name: str) -> None:
    choose(page, tmp_path / name, 4000, 3000)
    expect(page.get_by_text("scaled to 2364 × 1773")).to_be_visible()
    sent = uploaded(page)
    assert sent.size == (2364, 1773)
    assert sent.width * sent.height <= PIXELS
    expect(page.locator(".result")).to_be_visible()


def test_a_picture_that_fits_is_sent_as_it_is(page: Page, tmp_path: Path) -> None:
    choose(page, tmp_path / "wide.png", 4096, 512)
    expect(page.get_by_alt_text("The image to start from")).to_be_visible()
    sent = uploaded(page)
    assert (sent.format, sent.size) == ("PNG", (4096, 512))
    expect(page.get_by_text("scaled to")).to_have_count(0)


def test_a_missing_picture_is_asked_for_without_a_request(page: Page, tmp_path: Path) -> None:
    requests: list[Request] = []
    page.on("request", lambda it: requests.append(it) if "/run" in it.url else None)
    generate(page, "of nothing")
    expect(page.get_by_role("alert")).to_have_text("Choose an image first")
    picker = page.get_by_role("button", name="choose an image")
    expect(picker).to_be_focused()
    expect(picker).to_have_accessible_description("Choose an image first")
    assert requests == []
    choose(page, tmp_path / "small.png", 64, 64)
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("type_", ["dragover", "drop"])
def test_a_file_dropped_beside_the_field_is_not_opened(page: Page, type_: str) -> None:
    is_opened = page.evaluate(DRAG_FILE, [".stage", type_])
    assert not is_opened
    expect(page.get_by_alt_text("The image to start from")).to_have_count(0)
