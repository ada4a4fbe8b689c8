"""`python -m tests.page.screenshots`: the page's states as small pictures in docs/images.

The demo model paints them where it is; states that pass too quickly, or that a model in order
never shows, are held by the fake worker.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page.conftest import ARGUMENTS, CHROMIUM, Service
from tests.server import FAKE, REAL, ROOT, ServerProcess

FOLDER = ROOT / "docs" / "images"
MOON = FOLDER / "moon.png"
WIDE = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
PATIENCE_MS = 600_000
HALF_DONE = re.compile(r"Step 1\d\d of 200")
PROMPTS = (
    "a red house by the sea at sunset",
    "green hills at noon with clouds",
    "a desert at sunset",
    "snowy mountains at night with a full moon",
)


def save(page: Page, name: str) -> None:
    """Write what the page shows."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    path = FOLDER / f"{name}.png"
    picture.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")


@contextmanager
def serving(command: tuple[str, ...], **settings: object) -> Iterator[Service]:
    """A server with folders of its own."""
    with TemporaryDirectory() as folder:
        own = {"PIPELINE": "text-to-image", "MODEL_ID": "demo", "PREVIEWS": True}
        own |= {"DATA_DIR": f"{folder}/data"}
        if command is FAKE:
            own |= {"MODEL_DIR": folder}
        with ServerProcess(own | settings, command) as process:
            process.wait_ready(PATIENCE_MS / 1000)
            yield Service(process.url, Path(folder), process)


@contextmanager
def opened(browser: Browser, service: Service, **options: Any) -> Iterator[Page]:
    """The page in a browser without a past."""
    context = browser.new_context(**({"viewport": WIDE} | options))
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(service.url)
    page.wait_for_selector(".health[data-health=OK]")
    yield page
    context.close()


def generate(page: Page, prompt: str, steps: int = 30) -> None:
    """Ask for a picture."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Inference steps", exact=True).fill(str(steps))
    page.get_by_label("Seed", exact=True).fill("42")
    page.get_by_role("button", name="Generate").click()


def ask_all_at_once(service: Service) -> None:
    """Requests of several clients, so that there is something to tell of."""
    bodies = [
        {"prompt": prompt, "num_inference_steps": steps}
        for prompt in PROMPTS
        for steps in (10, 20, 40)
    ]
    url = f"{service.url}/text-to-image"
    with ThreadPoolExecutor(len(bodies)) as clients:
        list(clients.map(lambda body: httpx.post(url, json=body, timeout=300), bodies))


def finish(page: Page) -> None:
    """Wait for the picture."""
    page.wait_for_selector(".result img")
    page.mouse.move(0, 0)


def painting(browser: Browser) -> None:
    """The model at work: empty, half done, done, in the dark, on a phone, and its activity."""
    with serving(REAL) as service:
        with opened(browser, service) as page:
            save(page, "page-empty")
            for prompt in reversed(PROMPTS):
                generate(page, prompt)
                finish(page)
            save(page, "page")
            generate(page, PROMPTS[1], steps=200)
            page.get_by_text(HALF_DONE).first.wait_for()
            save(page, "page-working")
            finish(page)
            page.get_by_text("Code", exact=True).click()
            page.locator(".gallery .thumb").first.click()
            page.locator(".code").scroll_into_view_if_needed()
            save(page, "page-code")
            ask_all_at_once(service)
            page.emulate_media(color_scheme="dark")
            page.get_by_role("link", name="Activity").click()
            page.wait_for_selector(".line")
            save(page, "page-activity")
        with opened(browser, service, color_scheme="dark", **PHONE) as page:
            page.get_by_label("Prompt", exact=True).fill(PROMPTS[1])  # its settings are folded
            page.get_by_role("button", name="Generate").click()
            finish(page)
            save(page, "page-phone")


def states(browser: Browser) -> None:
    """What a model in order does not show: an error, a queue, a missing token."""
    with serving(FAKE, AUTH_TOKEN="token") as service, opened(browser, service) as page:
        generate(page, PROMPTS[0])
        page.wait_for_selector("dialog")
        save(page, "page-token")
        page.locator("#token").fill("token")
        page.get_by_role("button", name="Continue").click()
        finish(page)
        generate(page, PROMPTS[0], steps=5000)
        page.wait_for_selector(".error")
        save(page, "page-error")
    with serving(FAKE) as service:
        service.gate("step").close()
        with opened(browser, service) as first, opened(browser, service) as second:
            generate(first, PROMPTS[0])
            first.wait_for_selector("text=Starting")
            generate(second, PROMPTS[1])
            second.wait_for_selector("text=Queued")
            save(second, "page-queued")
            service.open_gates()


def animating(browser: Browser) -> None:
    """An image and the video made of it."""
    with (
        serving(REAL, PIPELINE="image-to-video") as service,
        opened(browser, service) as page,
    ):
        page.locator("input[type=file]").set_input_files(MOON)
        page.get_by_role("button", name="Generate").click()
        page.wait_for_selector(".result video")
        page.mouse.move(0, 0)
        save(page, "page-video")


def main() -> int:
    """Make all pictures; those of models that are not there are left as they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        states(browser)
        if (ROOT / "demo" / "image").exists():
            painting(browser)
        if (ROOT / "demo" / "video").exists():
            animating(browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
