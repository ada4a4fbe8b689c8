"""How soon a picture shows: `python -m benchmarks.first_preview` (needs Debian's chromium).

The page in a real browser, the demo model behind it: seconds from the press of Generate to the
first preview, and to the finished picture.
"""

from __future__ import annotations

import argparse
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks.verdict import verdict
from tests.page.conftest import ARGUMENTS, CHROMIUM
from tests.page.screenshots import generate, opened, serving
from tests.server import REAL

PROMPTS = ("a red house by the sea at sunset", "snowy mountains at night", "green hills at noon")
"""The first one warms up."""
PREVIEW = "img.preview"
RESULT = ".stage img:not(.preview)"


def seconds_to(page: Page, selector: str, start: float) -> float:
    """Until something shows."""
    page.wait_for_selector(selector)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    previews, pictures = [], []
    with (
        sync_playwright() as playwright,
        serving(REAL) as service,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser,
    ):
        for prompt in PROMPTS:
            with opened(browser, service) as page:
                start = time.perf_counter()
                generate(page, prompt, options.steps)
                previews.append(seconds_to(page, PREVIEW, start))
                pictures.append(seconds_to(page, RESULT, start))
    print(verdict("first preview in s", previews[1:], 1, at_least=False))
    finished = ", ".join(f"{it:.2f} s" for it in pictures[1:])
    print(f"pictures of {options.steps} steps after {finished}")


if __name__ == "__main__":
    main()
