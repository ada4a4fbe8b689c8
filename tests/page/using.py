"""What several tests do with the page, and ask of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, Request

COUNT_RESULTS = """() => new Promise((resolve) => {
    indexedDB.open("diffusion-runner").onsuccess = ({ target: { result: database } }) => {
        const count = database.transaction("results").objectStore("results").count();
        count.onsuccess = () => (database.close(), resolve(count.result));
    };
})"""
"""For `page.evaluate`: how many results the browser remembers."""


def generate(page: Page, prompt: str) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.keyboard.press("Control+Enter")


def input_of(request: Request) -> dict[str, Any]:
    """What a request of the page says."""
    body: Any = request.post_data_json
    return dict(body["input"])
