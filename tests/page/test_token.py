"""The page of a service that asks for a token."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import OpenPage, Serve
from tests.page.using import COUNT_RESULTS, generate
from tests.waiting import wait_until

TOKEN = "open-sesame"


@pytest.fixture
def page(serve: Serve, open_page: OpenPage) -> Page:
    return open_page(serve(AUTH_TOKEN=TOKEN))


def give(page: Page, token: str) -> None:
    dialog = page.get_by_role("dialog", name="This service asks for a token")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Continue").click()


def test_the_token_is_asked_for_and_kept_for_the_session(page: Page) -> None:
    generate(page, "a secret garden")
    give(page, "wrong")
    give(page, TOKEN)
    expect(page.locator(".result")).to_be_visible()
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    assert page.evaluate("Object.values({ ...localStorage }).join()").find(TOKEN) == -1
    page.reload()
    generate(page, "again")
    expect(page.get_by_role("img", name="again")).to_be_visible()
    page.get_by_text("Code", exact=True).click()
    page.get_by_role("tab", name="curl").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("Bearer $TOKEN")
    expect(panel).not_to_contain_text(TOKEN)


def test_a_refused_token_is_said_to_be_so(page: Page) -> None:
    generate(page, "a locked chest")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_have_count(0)
    give(page, "wrong")
    expect(dialog.get_by_role("alert")).to_have_text("This token was refused.")
    field = dialog.get_by_label("Token")
    expect(field).to_have_accessible_description("This token was refused.")
    expect(field).to_be_focused()
    give(page, TOKEN)
    expect(page.locator(".result")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()  # where it was before


def test_who_has_none_reads_the_servers_words(page: Page) -> None:
    generate(page, "a locked door")
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("alert")).to_have_text("Invalid bearer token.")
    page.get_by_text("Code", exact=True).click()
    page.get_by_role("tab", name="curl").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Bearer $TOKEN")


def test_activity_needs_the_token_too(page: Page) -> None:
    page.get_by_role("link", name="Activity").click()
    give(page, TOKEN)
    expect(page.get_by_role("heading", name="Worker")).to_be_visible()
