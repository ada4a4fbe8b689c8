"""How the page behaves: small, steady, usable by keyboard, on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.page.conftest import OpenPage, Serve, Service
from tests.page.using import generate

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
BUDGET = 150_000
PHONE = {"width": 360, "height": 740}

WATCH_SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((e) => e.value)))
        .observe({ type: "layout-shift", buffered: true });
}"""


def show_empty(page: Page) -> None:
    expect(page.locator(".hint")).to_be_visible()


def show_result(page: Page) -> None:
    generate(page, "a result")
    expect(page.locator(".result")).to_be_visible()
    for summary in page.locator("summary").all():
        if not summary.evaluate("element => element.parentElement.open"):
            summary.click()


def show_error(page: Page) -> None:
    generate(page, "oom")
    expect(page.get_by_role("alert")).to_be_visible()


def show_activity(page: Page) -> None:
    generate(page, "something to show")
    expect(page.locator(".result")).to_be_visible()
    page.get_by_role("link", name="Activity").click()
    expect(page.locator(".line").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("show", [show_empty, show_result, show_error, show_activity])
def test_axe_finds_nothing_serious(
    service: Service, open_page: OpenPage, show: Callable[[Page], None], scheme: str
) -> None:
    page = open_page(service, color_scheme=scheme, reduced_motion="reduce")
    show(page)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in serious] == []


def test_everything_that_is_loaded_is_small(service: Service, open_page: OpenPage) -> None:
    page = open_page(service)
    sizes: dict[str, int] = {}

    def note(response: Response) -> None:
        sizes[response.url] = response.request.sizes()["responseBodySize"]

    page.on("response", note)
    page.reload()
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Activity").click()
    expect(page.locator(".chart canvas").first).to_be_visible()
    assert 20_000 < sum(sizes.values()) < BUDGET, sizes


def test_nothing_jumps_from_opening_to_picture(service: Service, page: Page) -> None:
    page.add_init_script(f"({WATCH_SHIFTS})()")
    page.reload()
    page.get_by_label("Inference steps", exact=True).fill("30")
    generate(page, "steady")
    expect(page.locator(".result")).to_be_visible()
    assert sum(page.evaluate("shifts")) < 0.02


def test_a_phone_is_wide_enough(service: Service, open_page: OpenPage) -> None:
    page = open_page(service, viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_label("Prompt", exact=True).fill("on the way")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("img", name="on the way")).to_be_in_viewport()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.get_by_text("More settings").click()
    page.get_by_text("Code", exact=True).click()
    assert page.evaluate(fits)
    page.get_by_role("link", name="Activity").click()
    expect(page.locator(".line").first).to_be_visible()
    assert page.evaluate(fits)


def background(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return found


def test_a_chosen_theme_outlives_the_reload(service: Service, open_page: OpenPage) -> None:
    page = open_page(service, color_scheme="dark")
    dark = background(page)
    theme = page.get_by_role("button", name="Theme")
    theme.click()
    expect(theme).to_have_accessible_name("Theme: light")
    light = background(page)
    assert light != dark
    page.reload()
    assert background(page) == light
    theme.click()
    theme.click()
    expect(theme).to_have_accessible_name("Theme: auto")
    assert background(page) == dark


FOCUSED = """() => {
    const element = document.activeElement;
    return element.getAttribute("aria-label") ?? element.innerText.split("\\n")[0].trim();
}"""


def focused(page: Page) -> str:
    name: str = page.evaluate(FOCUSED)
    return name


def press_until(page: Page, key: str, name: str) -> None:
    for _ in range(60):
        if focused(page).startswith(name):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never came to {name}")


def test_the_keyboard_is_enough(service: Service, page: Page) -> None:
    service.gate("step").close()
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    page.keyboard.type("by keyboard")
    press_until(page, "Tab", "Generate")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_enabled()
    press_until(page, "Tab", "Cancel")
    page.keyboard.press("Enter")
    expect(page.locator(".hint")).to_have_text("Cancelled.")
    service.open_gates()
    assert focused(page).startswith("Generate")
    page.keyboard.press("Space")
    expect(page.get_by_role("img", name="by keyboard")).to_be_visible()
    press_until(page, "Tab", "Code")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "Request")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Response"
    expect(page.get_by_role("tabpanel")).to_contain_text("COMPLETED")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_what_a_parameter_means_is_heard_and_can_be_opened(page: Page) -> None:
    width = page.get_by_label("Width", exact=True)
    meaning = "Width in pixels, a multiple of 8. width × height is at most MAX_PIXELS."
    expect(width).to_have_accessible_description(meaning)
    about = page.get_by_role("button", name="About: Width")
    expect(page.get_by_text(meaning)).to_be_hidden()
    about.press("Enter")
    expect(page.get_by_text(meaning)).to_be_visible()
    expect(about).to_have_attribute("aria-expanded", "true")
    about.press("Enter")
    expect(page.get_by_text(meaning)).to_be_hidden()


def test_a_phone_does_not_enlarge_the_page_at_a_field(
    service: Service, open_page: OpenPage
) -> None:
    page = open_page(service, viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_text("Settings", exact=True).click()
    page.get_by_text("More settings").click()
    sizes = page.evaluate("""
        [...document.querySelectorAll("input[type=number], textarea, select")]
            .map((field) => parseFloat(getComputedStyle(field).fontSize))
    """)
    assert len(sizes) > 5
    assert min(sizes) >= 16


def test_the_next_picture_has_the_focus_when_one_is_removed(page: Page) -> None:
    for prompt in ("the oldest", "the middle", "the newest"):
        generate(page, prompt)
        expect(page.get_by_role("img", name=prompt)).to_be_visible()
    page.get_by_role("button", name="Remove: the middle").press("Enter")
    expect(page.locator(".gallery .thumb")).to_have_count(2)
    assert focused(page).startswith("the oldest")
    page.get_by_role("button", name="Remove: the oldest").press("Enter")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    assert focused(page).startswith("the newest")


LOOK_AWAY = """is_away => {
    const state = is_away ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_the_end_of_a_job_is_said_and_marked_in_the_title(service: Service, page: Page) -> None:
    region = page.locator("[aria-live=polite]")
    expect(region).to_have_count(1)
    region.evaluate("element => (window.region = element)")
    service.gate("step").close()
    generate(page, "a slow one")
    expect(region).to_have_text("Starting")
    page.evaluate(LOOK_AWAY, True)
    service.open_gates()
    expect(page).to_have_title("✓ Text To Image · some/model")
    expect(region).to_have_text("Done: a slow one")
    assert region.evaluate("element => element === window.region")  # a new one would not be heard
    page.evaluate(LOOK_AWAY, False)
    expect(page).to_have_title("Text To Image · some/model")
    generate(page, "watched")
    expect(region).to_have_text("Done: watched")
    expect(page).to_have_title("Text To Image · some/model")


def test_cancelling_does_not_scroll(service: Service, open_page: OpenPage) -> None:
    page = open_page(service, viewport=PHONE, has_touch=True, is_mobile=True)
    service.gate("step").close()
    page.get_by_label("Prompt", exact=True).fill("on second thoughts")
    page.get_by_role("button", name="Generate").click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_enabled()
    cancel.scroll_into_view_if_needed()
    page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
    before = page.evaluate("scrollY")
    assert before > 0
    # In one go: soon the page is shorter, and scrolls for that.
    assert cancel.evaluate("button => (button.click(), scrollY)") == before
    assert focused(page).startswith("Generate")


def test_a_page_whose_calls_are_shut_says_so(serve: Serve, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(serve(DOORS="page,livepeer").url)
    expect(page.get_by_role("heading")).to_have_text("This page cannot work here")
    expect(page.get_by_role("alert")).to_contain_text("the doors livepeer and runpod")
    page.close()
