"""A real browser against real servers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.gate import Gate, open_gates
from tests.server import ServerProcess, fake_server

CHROMIUM = Path("/usr/bin/chromium")
INSECURE_HOST = "plain.test"
"""A name of this machine that browsers do not trust without https."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]
PATIENCE_MS = 20_000
expect.set_options(PATIENCE_MS)
# The browser reports answers of 4xx and 5xx by itself; the page shows their words.
_EXPECTED = re.compile(r"Failed to load resource|net::ERR_")


@dataclass(frozen=True, slots=True)
class Service:
    """A running server and the folder whose gate files hold up its fake worker."""

    url: str
    folder: Path
    process: ServerProcess

    def gate(self, name: str) -> Gate:
        """What holds the worker back: at `load`, `step`, or `step-3`."""
        return Gate(self.folder, name)

    def open_gates(self) -> None:
        """Let the worker go on."""
        open_gates(self.folder)


Serve = Callable[..., Service]
OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's chromium; without it the tests are skipped, but never in CI.

    Not of the whole session: Playwright keeps an event loop in the thread, which others need.
    """
    if not CHROMIUM.exists():
        message = f"{CHROMIUM} is missing: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Servers with the fake worker, one for each set of settings, shared by all tests."""
    running: dict[tuple[tuple[str, object], ...], Service] = {}
    with ExitStack() as stack:

        def start(wait: bool = True, **settings: object) -> Service:
            key = tuple(sorted(settings.items()))
            if key not in running:
                folder = tmp_path_factory.mktemp("models")
                if settings.pop("loading", False):
                    Gate(folder, "load").close()
                server = fake_server(folder, **{"PREVIEWS": True} | settings)
                process = stack.enter_context(server)
                running[key] = Service(process.url, folder, process)
            if wait:
                running[key].process.wait_ready()
            return running[key]

        yield start


@pytest.fixture
def service(serve: Serve) -> Iterator[Service]:
    """Text to image."""
    service = serve()
    yield service
    service.open_gates()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Pages of a browser without a past; a complaint on their consoles fails the test."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.text):
            complaints.append(message.text)

    with ExitStack() as stack:

        def open_(service: Service, **options: Any) -> Page:
            context = stack.enter_context(browser.new_context(**options))
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            # A request that a test answers itself may be under way at its end.
            stack.callback(page.unroute_all, behavior="ignoreErrors")
            page.on("console", hear)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(service.url)
            page.wait_for_selector(".composer")
            return page

        yield open_
    assert complaints == []


@pytest.fixture
def page(service: Service, open_page: OpenPage) -> Page:
    """The page of a text-to-image service."""
    return open_page(service)
