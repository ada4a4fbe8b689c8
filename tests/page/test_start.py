"""The values that a form begins with, and what becomes of changed ones."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import OpenPage, Serve
from tests.page.using import generate, input_of

STEPS = "Inference steps"


def value_of(page: Page, label: str) -> str:
    return page.get_by_label(label, exact=True).input_value()


def sent(page: Page, prompt: str) -> dict[str, Any]:
    """What a request says."""
    with page.expect_request("**/run?*") as request:
        generate(page, prompt)
    return input_of(request.value)


@pytest.mark.parametrize(
    ("model", "shown", "said"),
    [
        (
            "some/model",
            {"Width": "1024", "Height": "576", STEPS: "50", "Guidance scale": "7.5"},
            {},
        ),
        (
            "demo",
            {"Width": "128", "Height": "128", STEPS: "8", "Guidance scale": "3"},
            {"num_inference_steps": 8, "guidance_scale": 3},
        ),
        (
            "stabilityai/sd-turbo",
            {"Width": "512", "Height": "512", STEPS: "4"},
            {"width": 512, "height": 512, "num_inference_steps": 4},
        ),
    ],
)
def test_the_form_begins_as_the_model_likes_it(
    serve: Serve, open_page: OpenPage, model: str, shown: dict[str, str], said: dict[str, Any]
) -> None:
    page = open_page(serve(MODEL_ID=model))
    assert {label: value_of(page, label) for label in shown} == shown
    assert sent(page, "to begin with") == {"prompt": "to begin with", **said}
    expect(page.locator(".result")).to_be_visible()


def test_what_the_model_dictates_is_not_asked_for(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(serve(MODEL_ID="stabilityai/sd-turbo"))
    expect(page.get_by_label(STEPS, exact=True)).to_be_visible()
    expect(page.get_by_label("Guidance scale", exact=True)).to_have_count(0)


def test_reused_settings_are_those_of_the_request(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(serve(MODEL_ID="demo"))
    page.get_by_label(STEPS, exact=True).fill("50")  # the service's default: not sent
    assert "num_inference_steps" not in sent(page, "fifty")
    expect(page.locator(".result")).to_be_visible()
    page.get_by_role("button", name="Reset the settings").click()
    assert value_of(page, STEPS) == "8"
    page.get_by_role("button", name="Reuse settings").click()
    assert value_of(page, STEPS) == "50"


def test_settings_are_remembered_for_each_model(
    serve: Serve, open_page: OpenPage, page: Page
) -> None:
    page.get_by_label("Width", exact=True).fill("640")
    page.reload()
    assert value_of(page, "Width") == "640"
    stored = "Object.entries({...localStorage}).filter(([key]) => key.startsWith('form:'))"
    assert page.evaluate(stored) == [["form:text-to-image:some/model", '{"width":640}']]


def test_settings_are_reset_but_not_the_prompt(page: Page) -> None:
    reset = page.get_by_role("button", name="Reset the settings")
    expect(reset).to_have_count(0)
    page.get_by_label("Prompt", exact=True).fill("to be kept")
    page.get_by_label("Width", exact=True).fill("640")
    page.get_by_text("More settings").click()
    page.get_by_label("Negative prompt", exact=True).fill("nothing blue")
    reset.click()
    assert value_of(page, "Width") == "1024"
    assert value_of(page, "Negative prompt") == ""
    assert value_of(page, "Prompt") == "to be kept"
    expect(reset).to_have_count(0)
    assert page.evaluate("document.activeElement.innerText") == "Settings"


def test_a_cleared_number_is_left_to_the_service(page: Page) -> None:
    width = page.get_by_label("Width", exact=True)
    width.fill("640")
    width.press("ControlOrMeta+a")
    width.press("Backspace")
    page.get_by_label("Prompt", exact=True).evaluate(
        "field => field.dispatchEvent(new Event('input'))"
    )
    expect(width).to_have_value("")
    with page.expect_request("**/run?*") as request:
        width.press("Control+Enter")
    assert "width" not in input_of(request.value)
    width.blur()
    expect(width).to_have_value("1024")


def test_a_number_is_typed_anew(page: Page) -> None:
    width = page.get_by_label("Width", exact=True)
    width.press("ControlOrMeta+a")
    width.press("Backspace")
    width.press_sequentially("256")
    expect(width).to_have_value("256")
    width.blur()
    expect(width).to_have_value("256")


def test_examples_fill_the_prompt(page: Page) -> None:
    examples = page.locator(".hint").get_by_role("button")
    expect(examples).to_have_count(3)
    expect(examples.first).to_have_text("snowy mountains at night with a full moon")
    text = examples.nth(1).inner_text()
    examples.nth(1).click()
    prompt = page.get_by_label("Prompt", exact=True)
    expect(prompt).to_have_value(text)
    expect(prompt).to_be_focused()
    prompt.press("Control+Enter")
    expect(page.get_by_role("img", name=text)).to_be_visible()


def test_without_a_prompt_there_are_no_examples(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(serve(PIPELINE="image-to-video"))
    expect(page.locator(".hint")).to_contain_text("Generate a short video")
    expect(page.locator(".hint").get_by_role("button")).to_have_count(0)
