"""Making things on the page: what its user enters, sees on the way and gets."""

from __future__ import annotations

import json
import re
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.page.conftest import OpenPage, Serve, Service
from tests.page.using import generate
from tests.pictures import opened


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.new("RGB", (64, 48), "teal").save(path)
    return path


def test_a_prompt_becomes_a_picture(page: Page) -> None:
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Inference steps", exact=True).fill("3")
    page.get_by_label("Width", exact=True).fill("256")
    generate(page, "a lighthouse")
    image = page.get_by_role("img", name="a lighthouse")
    expect(image).to_have_js_property("naturalWidth", 256)
    facts = page.locator(".facts")
    expect(facts).to_contain_text("Seed7")
    expect(facts).to_contain_text("Size256 × ")
    expect(page).to_have_url(re.compile("#job="))


def test_the_form_follows_the_schema(page: Page) -> None:
    size = page.get_by_label("Width", exact=True)
    slider = page.get_by_label("Width, slider")
    assert (size.get_attribute("min"), size.get_attribute("max")) == ("16", "16376")
    slider.fill("1536")
    expect(size).to_have_value("1536")
    page.get_by_text("More settings").click()
    expect(page.get_by_role("switch", name="Safety check")).to_be_checked()
    expect(page.get_by_label("Negative prompt", exact=True)).to_have_value("")
    expect(page.get_by_label("Model id")).to_have_count(0)


def test_seeds_are_rolled_kept_and_let_go(page: Page) -> None:
    seed = page.get_by_label("Seed", exact=True)
    keep = page.get_by_role("button", name="Keep this seed")
    expect(seed).to_have_value("")
    page.get_by_role("button", name="Roll the dice").click()
    expect(seed).to_have_value(re.compile(r"^\d+$"))
    expect(keep).to_have_attribute("aria-pressed", "true")
    keep.click()
    expect(seed).to_have_value("")


def test_several_images_can_be_looked_at(page: Page) -> None:
    page.get_by_text("More settings").click()
    page.get_by_label("Images per prompt", exact=True).fill("3")
    page.get_by_label("Seed", exact=True).fill("20")
    generate(page, "three")
    page.get_by_role("button", name="Image 3").click()
    expect(page.locator(".facts")).to_contain_text("Seed22")


def test_progress_is_shown_and_can_be_cancelled(service: Service, page: Page) -> None:
    service.gate("step-1").close()
    service.gate("step-4").close()
    page.get_by_label("Inference steps", exact=True).fill("8")
    generate(page, "slowly")
    expect(page.get_by_text("Starting").first).to_be_visible()  # it listens before the previews
    service.gate("step-1").open()
    expect(page.get_by_text("Step 3 of 8").first).to_be_visible()
    expect(page.get_by_role("img", name="How it looks so far")).to_be_visible()
    assert page.get_by_role("progressbar").get_attribute("value") == "0.375"
    expect(page.locator("[aria-live=polite]")).to_have_text("25 per cent")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".hint")).to_have_text("Cancelled.")
    service.open_gates()
    generate(page, "once more")
    expect(page.locator(".result")).to_be_visible()


def test_who_waits_learns_of_the_place_in_the_queue(
    service: Service, page: Page, open_page: OpenPage
) -> None:
    service.gate("step").close()
    generate(page, "first")
    expect(page.get_by_text("Starting").first).to_be_visible()
    others = [open_page(service), open_page(service)]
    generate(others[0], "second")
    expect(others[0].get_by_text("Queued: next in line").first).to_be_visible()
    generate(others[1], "third")
    expect(others[1].get_by_text("Queued: 1 in front").first).to_be_visible()
    service.open_gates()
    for each in (page, *others):
        expect(each.locator(".result")).to_be_visible()


def test_requests_wait_while_the_model_loads(serve: Serve, open_page: OpenPage) -> None:
    service = serve(wait=False, loading=True)
    page = open_page(service)
    expect(page.locator(".health")).to_have_text("Loading the model")
    generate(page, "early")
    expect(page.get_by_text("The model is loading; the request waits").first).to_be_visible()
    service.open_gates()
    expect(page.locator(".result")).to_be_visible()
    expect(page.locator(".health")).to_have_text("Ready")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("oom", "Out of memory error. Try reducing output image resolution."),
        ("fail", "Text-to-image pipeline error."),
        ("  ", "Prompt must be provided."),
    ],
)
def test_errors_are_shown_word_for_word(page: Page, prompt: str, words: str) -> None:
    generate(page, prompt)
    expect(page.get_by_role("alert")).to_have_text(words)


def test_limits_are_explained_in_the_servers_words(page: Page) -> None:
    page.get_by_label("Inference steps", exact=True).fill("5000")
    generate(page, "x")
    expect(page.get_by_role("alert")).to_have_text(
        "num_inference_steps is 5000; this server allows at most 200 (MAX_STEPS)."
    )


def test_code_repeats_the_picture_that_is_shown(page: Page) -> None:
    generate(page, "by chance")
    seed = page.locator(".facts dd").first.inner_text()
    page.get_by_label("Prompt", exact=True).fill("something else")
    page.get_by_text("Code", exact=True).click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text('"prompt": "by chance"')
    expect(panel).to_contain_text(f'"seed": {seed}')


def test_code_repeats_the_request(page: Page) -> None:
    page.get_by_label("Seed", exact=True).fill("7")
    generate(page, "it's code")
    expect(page.locator(".result")).to_be_visible()
    page.get_by_text("Code", exact=True).click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text('"prompt": "it\'s code"')
    page.get_by_role("tab", name="Response").click()
    expect(panel).to_contain_text('"status": "COMPLETED"')
    page.get_by_role("tab", name="curl").click()
    expect(panel).to_contain_text(f"curl '{page.evaluate('location.origin')}/text-to-image'")
    expect(panel).to_contain_text(r"""-d '{"prompt":"it'\''s code","seed":7}'""")
    page.get_by_role("tab", name="Python").click()
    expect(panel).to_contain_text("import requests")


def test_an_image_becomes_a_video(serve: Serve, open_page: OpenPage, picture: Path) -> None:
    page = open_page(serve(PIPELINE="image-to-video"))
    page.locator("input[type=file]").set_input_files(picture)
    expect(page.get_by_alt_text("The image to start from")).to_be_visible()
    page.get_by_label("Width", exact=True).fill("64")
    page.get_by_label("Height", exact=True).fill("64")
    page.get_by_role("button", name="Generate").click()
    video = page.locator(".result video")
    expect(video).to_have_js_property("videoWidth", 64)
    assert video.evaluate("video => [video.loop, video.controls]") == [True, True]
    thumbnail = page.locator(".gallery img")  # its first frame
    expect(thumbnail).to_have_js_property("naturalWidth", 64)
    page.get_by_role("button", name="Use as input").click()
    expect(page.get_by_role("status").filter(has_text="done")).to_have_count(1)


PASTE = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
    document.body.dispatchEvent(event);
}"""
DROP = """(field, bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
    field.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""


def test_images_are_pasted_dropped_and_taken_from_results(
    serve: Serve, open_page: OpenPage, picture: Path
) -> None:
    page = open_page(serve(PIPELINE="image-to-image"))
    shown = page.get_by_alt_text("The image to start from")
    remove = page.get_by_role("button", name="Remove the image")
    data = list(picture.read_bytes())
    page.evaluate(PASTE, data)
    expect(shown).to_be_visible()
    remove.click()
    page.locator(".image-field").evaluate(DROP, data)
    expect(shown).to_be_visible()
    generate(page, "a dog instead")
    expect(page.locator(".facts")).to_contain_text("Size64 × 48")
    remove.click()
    page.get_by_role("button", name="Use as input").click()
    expect(shown).to_be_visible()


def test_curl_sends_what_was_entered(serve: Serve, open_page: OpenPage, picture: Path) -> None:
    page = open_page(serve(PIPELINE="image-to-image", EMBED_METADATA="true"))
    page.locator("input[type=file]").set_input_files(picture)
    generate(page, "<3 it's @home; a sea")
    expect(page.locator(".result")).to_be_visible()
    page.get_by_text("Code", exact=True).click()
    page.get_by_role("tab", name="curl").click()
    command = page.get_by_role("tabpanel").locator("code").inner_text()
    picture.rename(picture.with_name("input.png"))
    subprocess.run(["bash", "-c", command], cwd=picture.parent, check=True)
    answer = picture.with_name("answer.json").read_text()
    (image,) = json.loads(answer)["images"]
    made = opened(image["url"])
    assert made.info["prompt"] == "<3 it's @home; a sea"


def test_what_is_no_image_is_refused_word_for_word(
    serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(serve(PIPELINE="image-to-image"))
    fake = tmp_path / "fake.png"
    fake.write_text("not an image")
    page.locator("input[type=file]").set_input_files(fake)
    generate(page, "of something broken")
    expect(page.get_by_role("alert")).to_contain_text("image")


def test_a_picture_is_downloaded_and_shared(page: Page) -> None:
    generate(page, "a keepsake")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Image.open(download.value.path()).format == "PNG"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name in ("Copy", "Copy link"):
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        expect(button.get_by_role("status")).to_have_text("done")
    link = page.evaluate("navigator.clipboard.readText()")
    shared = page.request.get(link)
    assert shared.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(shared.body())).format == "PNG"
