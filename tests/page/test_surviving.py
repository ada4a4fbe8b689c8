"""What outlives a reload, a cut connection and a closed tab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import OpenPage, Service
from tests.page.using import COUNT_RESULTS, generate
from tests.waiting import wait_until


def test_a_running_job_survives_a_reload(service: Service, page: Page) -> None:
    service.gate("step-4").close()
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
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    page.goto(page.url.partition("#")[0])
    page.reload()
    page.locator(".gallery .thumb").click()
    expect(page.get_by_role("img", name="remember me")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("Seed")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".gallery")).to_have_count(0)
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 0)
    page.goto(page.url.partition("#")[0])
    page.reload()
    expect(page.locator(".hint")).to_be_visible()
    expect(page.locator(".gallery")).to_have_count(0)


HOLD_HISTORY = """() => {
    const open = IDBFactory.prototype.open;
    const released = new Promise((resolve) => (window.releaseHistory = resolve));
    IDBFactory.prototype.open = function (...of) {
        return new Proxy(open.apply(this, of), {
            get: (request, name) => Reflect.get(request, name, request),
            set: (request, name, take) => {
                const late = (event) => released.then(() => take(event));
                request[name] = name === "onsuccess" ? late : take;
                return true;
            },
        });
    };
}"""
RELEASE_HISTORY = """async () => {
    window.releaseHistory();
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
}"""
FORGET_HISTORY = """() => new Promise((resolve) => {
    indexedDB.deleteDatabase("diffusion-runner").onsuccess = resolve;
})"""


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_is_asked_for_before_the_history_is_there_is_shown(page: Page, is_kept: bool) -> None:
    generate(page, "before the reload")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    if not is_kept:
        page.evaluate(FORGET_HISTORY)
    page.add_init_script(f"({HOLD_HISTORY})()")
    page.reload()
    sending: list[Route] = []
    page.route("**/run?*", lambda route: sending.append(route))
    with page.expect_request("**/run?*"):
        generate(page, "after it")
    page.evaluate(RELEASE_HISTORY)
    expect(page.get_by_text("Sending the request").first).to_be_visible()
    expect(page.locator(".result")).to_have_count(0)
    sending[0].continue_()
    expect(page.get_by_role("img", name="after it")).to_be_visible()


def test_opening_a_job_holds_up_nothing_new(page: Page) -> None:
    generate(page, "before the reload")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    page.evaluate(FORGET_HISTORY)
    asked: list[Route] = []
    page.route(f"**/status/{page.url.partition('#job=')[2]}*", lambda route: asked.append(route))
    page.reload()
    expect(page.get_by_text("Opening the job").first).to_be_visible()
    generate(page, "after it")
    expect(page.get_by_role("img", name="after it")).to_be_visible()


def test_looking_at_an_old_result_does_not_lose_the_running_job(
    service: Service, page: Page
) -> None:
    generate(page, "an old one")
    expect(page.locator(".result")).to_be_visible()
    service.gate("step-4").close()
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
    # What it was asked for is not known there: a draft is worth more than nothing.
    other.get_by_label("Prompt", exact=True).fill("my own draft")
    expect(other.get_by_role("button", name="Reuse settings")).to_have_count(0)
    other.get_by_role("button", name="Use this seed").click()
    seed = other.locator(".facts dd").first.inner_text()
    expect(other.get_by_label("Seed", exact=True)).to_have_value(seed)
    expect(other.get_by_label("Prompt", exact=True)).to_have_value("my own draft")
    other.get_by_text("Code", exact=True).click()
    expect(other.get_by_role("tab")).to_have_text(["Response"])


@pytest.mark.parametrize("name", ["%E0%A4%A", "%"])
def test_a_malformed_address_opens_the_page(page: Page, name: str) -> None:
    page.goto(page.url.partition("#")[0] + f"#job={name}")
    page.reload()
    generate(page, "in spite of it")
    expect(page.get_by_role("img", name="in spite of it")).to_be_visible()


TILE = """() => {
    const image = document.querySelector(".gallery img");
    return [image.naturalWidth, image.naturalHeight, image.src];
}"""
OPENS = """url => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = url;
})"""


def test_history_shows_small_pictures_and_lets_go_of_them(page: Page) -> None:
    generate(page, "a large one")
    expect(page.locator(".result")).to_be_visible()
    expect(page.locator(".gallery img")).to_have_js_property("naturalWidth", 256)
    width, height, url = page.evaluate(TILE)
    assert (width, height) == (256, 144)
    assert page.evaluate(OPENS, url)
    page.get_by_role("button", name="Remove: a large one").click()
    expect(page.locator(".gallery")).to_have_count(0)
    assert not page.evaluate(OPENS, url)


def test_only_the_newest_results_are_kept(page: Page) -> None:
    generate(page, "the last of many")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    page.evaluate(COPY_RESULT, 70)
    generate(page, "one more")
    expect(page.locator(".result")).to_be_visible()
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 60)
    page.reload()
    expect(page.locator(".gallery .thumb")).to_have_count(60)
    expect(page.get_by_role("button", name="one more").first).to_be_visible()


COPY_RESULT = """count => new Promise((resolve) => {
    indexedDB.open("diffusion-runner").onsuccess = ({ target: { result: database } }) => {
        const transaction = database.transaction("results", "readwrite");
        const store = transaction.objectStore("results");
        store.getAll().onsuccess = ({ target: { result: [original] } }) => {
            for (let i = 1; i <= count; i++)
                store.put({ ...original, id: `copy ${i}`, at: original.at - i });
        };
        transaction.oncomplete = () => (database.close(), resolve());
    };
})"""
MOVE_COPY = """of => new Promise((resolve) => {
    indexedDB.open("diffusion-runner").onsuccess = ({ target: { result: database } }) => {
        const transaction = database.transaction("results", "readwrite");
        const store = transaction.objectStore("results");
        store.get("copy 1").onsuccess = ({ target }) => store.put({ ...target.result, ...of });
        transaction.oncomplete = () => (database.close(), resolve());
    };
})"""


def test_history_is_of_the_loaded_pipeline(page: Page) -> None:
    generate(page, "a still picture")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    wait_until(lambda: page.evaluate(COUNT_RESULTS) == 1)
    page.evaluate(COPY_RESULT, 1)
    page.evaluate(MOVE_COPY, {"pipeline": "image-to-video", "model": "some/model"})
    page.reload()
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    page.evaluate(MOVE_COPY, {"pipeline": "text-to-image", "model": "another/model"})
    page.goto(page.url.partition("#")[0])
    page.reload()
    expect(page.locator(".gallery .thumb")).to_have_count(2)
    page.locator(".gallery .thumb").last.click()
    expect(page.locator(".facts")).to_contain_text("Modelanother/model")


FIRST_FORM = """async () => {
    const blob = await (await fetch("/page/icon.svg")).blob();
    const deleted = indexedDB.deleteDatabase("diffusion-runner");
    await new Promise((resolve) => (deleted.onsuccess = resolve));
    const request = indexedDB.open("diffusion-runner", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("results", { keyPath: "id" });
    await new Promise((resolve) => (request.onsuccess = resolve));
    const transaction = request.result.transaction("results", "readwrite");
    transaction.objectStore("results").put({
        id: "old", at: 1, input: { prompt: "an early one" }, media: [{ blob, seed: 7 }],
        urls: [], width: 64, height: 64, queueSeconds: 0, executionSeconds: 1, response: {},
    });
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    request.result.close();
}"""


def test_results_of_an_earlier_form_are_still_shown(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/health")
    page.evaluate(FIRST_FORM)
    page.goto(service.url)
    page.get_by_role("button", name="an early one").first.click()
    expect(page.get_by_role("img", name="an early one")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("Seed7")
    expect(page.locator(".facts")).not_to_contain_text("Model")


def test_a_job_that_nobody_knows_is_said_to_be_unknown(page: Page) -> None:
    page.goto(page.url.partition("#")[0] + "#job=never-existed")
    expect(page.get_by_role("alert")).to_contain_text("never-existed")


def test_without_events_the_status_is_polled(service: Service, page: Page) -> None:
    page.route("**/events*", lambda route: route.abort())
    service.gate("step-4").close()
    page.get_by_label("Inference steps", exact=True).fill("8")
    generate(page, "by polling")
    expect(page.get_by_text("Step 3 of 8").first).to_be_visible()
    service.open_gates()
    expect(page.locator(".result")).to_be_visible()


def test_a_lost_connection_is_told_and_found_again(service: Service, page: Page) -> None:
    page.route("**/events*", lambda route: route.abort())
    service.gate("step-4").close()
    generate(page, "through a tunnel")
    expect(page.get_by_text("Step 3 of").first).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("The service cannot be reached; trying again").first).to_be_visible()
    page.context.set_offline(False)
    service.open_gates()
    expect(page.locator(".result")).to_be_visible()


def test_a_restart_behind_a_proxy_is_waited_for(service: Service, page: Page) -> None:
    page_of_a_proxy = "<html><body>Bad gateway, sincerely</body></html>"
    refused = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=502, content_type="text/html", body=page_of_a_proxy)

    page.route("**/events*", refuse)
    page.route("**/status/*", refuse)
    service.gate("step-4").close()
    page.get_by_label("Inference steps", exact=True).fill("8")
    generate(page, "through a restart")
    expect(page.get_by_text("The service cannot be reached; trying again").first).to_be_visible()
    page.unroute("**/status/*")
    page.unroute("**/events*")
    # Events again, not only the status: previews come with them alone.
    expect(page.get_by_role("img", name="How it looks so far")).to_be_visible()
    service.open_gates()
    expect(page.get_by_role("img", name="through a restart")).to_be_visible()
    assert any("/events" in url for url in refused)


def test_a_proxys_page_is_not_shown_as_an_error(page: Page) -> None:
    page.route(
        "**/run*",
        lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Oops</h1>"),
    )
    generate(page, "lost on the way")
    expect(page.get_by_role("alert")).to_have_text("502 Bad Gateway")


def test_a_view_that_does_not_come_can_be_asked_for_again(page: Page) -> None:
    page.route("**/activity.js", lambda route: route.abort())
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("alert")).to_contain_text("activity.js")
    page.unroute("**/activity.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Worker")).to_be_visible()
