"""What outlives a reload, a cut connection and a closed tab."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.page.conftest import OpenPage, Service
from tests.page.test_generate import generate


def test_a_running_job_survives_a_reload(service: Service, page: Page) -> None:
    service.close_gate("step-4")
    page.get_by_label("Inference steps", exact=True).fill("8")
    generate(page, "patience")
    expect(page.get_by_text("Step 3 of 8").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("Step 3 of 8").first).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("patience")
    service.open_gates()
    expect(page.get_by_role("img", name="patience")).to_be_visible()


def test_results_survive_a_reload(page: Page) -> None:
    generate(page, "remember me")
    expect(page.locator(".result")).to_be_visible()
    page.goto(page.url.partition("#")[0])
    page.reload()
    page.locator(".gallery .thumb").click()
    expect(page.get_by_role("img", name="remember me")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("Seed")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".gallery")).to_have_count(0)
    page.goto(page.url.partition("#")[0])
    page.reload()
    expect(page.locator(".hint")).to_be_visible()
    expect(page.locator(".gallery")).to_have_count(0)


def test_looking_at_an_old_result_does_not_lose_the_running_job(
    service: Service, page: Page
) -> None:
    generate(page, "an old one")
    expect(page.locator(".result")).to_be_visible()
    service.close_gate("step-4")
    generate(page, "a new one")
    expect(page.get_by_text("Step 3 of").first).to_be_visible()
    page.locator(".gallery .thumb").click()
    expect(page.get_by_role("img", name="an old one")).to_be_visible()
    page.get_by_role("button", name="Back to the running request").click()
    expect(page.get_by_text("Step 3 of").first).to_be_visible()
    page.locator(".gallery .thumb").click()
    service.open_gates()
    expect(page.get_by_role("img", name="a new one")).to_be_visible()


def test_settings_of_a_result_are_used_again(page: Page) -> None:
    page.get_by_label("Inference steps", exact=True).fill("3")
    generate(page, "again")
    expect(page.locator(".result")).to_be_visible()
    page.get_by_label("Inference steps", exact=True).fill("9")
    page.get_by_role("button", name="Reuse settings").click()
    expect(page.get_by_label("Inference steps", exact=True)).to_have_value("3")
    seed = page.locator(".facts dd").first.inner_text()
    expect(page.get_by_label("Seed", exact=True)).to_have_value(seed)


def test_another_browser_can_open_a_job_by_its_address(
    service: Service, page: Page, open_page: OpenPage
) -> None:
    generate(page, "for you")
    expect(page.locator(".result")).to_be_visible()
    other = open_page(service)
    other.goto(page.url)
    other.reload()
    expect(other.locator(".result img")).to_be_visible()


def test_a_job_that_nobody_knows_is_said_to_be_unknown(page: Page) -> None:
    page.goto(page.url.partition("#")[0] + "#job=never-existed")
    expect(page.get_by_role("alert")).to_contain_text("never-existed")


def test_without_events_the_status_is_polled(service: Service, page: Page) -> None:
    page.route("**/events*", lambda route: route.abort())
    service.close_gate("step-4")
    page.get_by_label("Inference steps", exact=True).fill("8")
    generate(page, "by polling")
    expect(page.get_by_text("Step 3 of 8").first).to_be_visible()
    service.open_gates()
    expect(page.locator(".result")).to_be_visible()


def test_a_lost_connection_is_told_and_found_again(service: Service, page: Page) -> None:
    page.route("**/events*", lambda route: route.abort())
    service.close_gate("step-4")
    generate(page, "through a tunnel")
    expect(page.get_by_text("Step 3 of").first).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("The service cannot be reached; trying again").first).to_be_visible()
    page.context.set_offline(False)
    service.open_gates()
    expect(page.locator(".result")).to_be_visible()
