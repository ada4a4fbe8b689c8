"""The activity view: figures, charts, worker and log."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from tests.page.conftest import OpenPage, Serve
from tests.page.using import generate


def requests(page: Page) -> int:
    """How many the figures tell of."""
    return int(page.locator(".figures dd").first.inner_text())


def test_a_served_and_a_failed_request_are_told_of(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(serve(MODEL_ID="some/counted-model"))  # nobody else's requests grow old there
    page.get_by_role("link", name="Activity").click()
    before = requests(page)
    page.get_by_role("link", name="Create").click()
    generate(page, "counted")
    expect(page.locator(".result")).to_be_visible()
    generate(page, "oom")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("link", name="Activity").click()
    assert requests(page) == before + 2
    expect(page.locator(".card", has_text="Outcomes")).to_contain_text("OutOfMemory")
    chart = page.get_by_role("img", name=re.compile("^Requests"))
    expect(chart.locator("canvas")).to_be_visible()
    page.get_by_role("button", name="24 h").click()
    expect(page.locator(".figures")).to_contain_text(f"Requests{before + 2}")


def test_gpus_are_shown_where_there_are_some(page: Page) -> None:
    gpu = {
        "id": "GPU-0",
        "name": "A Fast One",
        "memory_total": 80_000_000_000,
        "memory_free": 60_000_000_000,
        "utilization_compute": 35,
        "utilization_memory": 20,
    }

    def add_gpu(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"gpus": {"0": gpu}})

    page.route("**/activity?*", add_gpu)
    page.get_by_role("link", name="Activity").click()
    card = page.locator(".card", has_text="A Fast One")
    expect(card).to_contain_text("20 GB of 80 GB")
    expect(card.get_by_label("Use of GPU 0")).to_have_attribute("value", "0.35")


def test_the_log_is_narrowed_to_one_job(page: Page) -> None:
    generate(page, "noted")
    expect(page.locator(".result")).to_be_visible()
    job = page.url.partition("#job=")[2]
    page.get_by_role("link", name="Activity").click()
    page.get_by_role("button", name=job).first.click()
    expect(page.get_by_label("Job of the log lines")).to_have_value(job)
    lines = page.locator(".line")
    expect(lines.filter(has_not_text=job)).to_have_count(0)
    page.get_by_label("Text of the log lines").fill("no line has this")
    expect(page.get_by_text("No lines.")).to_be_visible()
    page.get_by_label("Text of the log lines").fill("outcome=ok")
    expect(lines).to_have_count(1)


def test_the_job_on_its_way_is_not_lost_by_looking_elsewhere(page: Page) -> None:
    generate(page, "still here")
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("heading", name="Worker")).to_be_visible()
    page.get_by_role("link", name="Create").click()
    expect(page.get_by_role("img", name="still here")).to_be_visible()
