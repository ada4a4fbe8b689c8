"""The page without https, as it is in many a home: browsers withhold the clipboard there."""

from __future__ import annotations

import dataclasses

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import INSECURE_HOST, OpenPage, Service
from tests.page.using import generate


@pytest.fixture
def page(service: Service, open_page: OpenPage) -> Page:
    url = service.url.replace("127.0.0.1", INSECURE_HOST)
    page = open_page(dataclasses.replace(service, url=url))
    assert not page.evaluate("isSecureContext")
    return page


def test_text_is_copied_all_the_same(page: Page) -> None:
    page.get_by_text("Code", exact=True).click()
    page.get_by_role("tab", name="curl").click()
    text = page.get_by_role("tabpanel").inner_text()
    copy = page.get_by_role("button", name="Copy", exact=True)
    copy.click()
    expect(page.get_by_role("status").filter(has_text="done")).to_have_count(1)
    expect(copy).to_be_focused()
    page.get_by_label("Prompt", exact=True).press("ControlOrMeta+v")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(text)


def test_pictures_are_not_offered_to_be_copied(page: Page) -> None:
    generate(page, "a picture")
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    actions = page.locator(".actions")
    expect(actions.get_by_role("button", name="Copy link")).to_be_visible()
    expect(actions.get_by_role("button", name="Copy", exact=True)).to_have_count(0)
