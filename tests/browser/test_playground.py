"""The page does what its controls say, in a real Chromium."""

import re
from typing import Any

import pytest
from support.artifacts import write_artifact
from support.server import server

PIXELS = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"


def pixels(page: Any, selector: str) -> list[int]:
    return page.locator(selector).first.evaluate(PIXELS)


def changed(page: Any, selector: str, before: list[int]) -> None:
    """Wait until a canvas shows something else."""
    page.wait_for_function(
        f"([selector, before]) => ({PIXELS})(document.querySelector(selector)).some((value, i) => value !== before[i])",
        arg=[selector, before],
    )


def draw_a_one(page: Any) -> None:
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    x, top, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.2, box["y"] + box["height"] * 0.8
    page.mouse.move(x, top)
    page.mouse.down()
    page.mouse.move(x - 3, bottom, steps=8)
    page.mouse.up()


def test_it_says_which_model_answered_and_how_long_it_waited(open_page):
    page = open_page()
    served = page.locator("#served").inner_text()
    assert re.fullmatch(
        r"\w+ by mnist version 1 \([0-9a-f]{12}\) in \d+ ms; waited [\d.]+ ms, ran [\d.]+ ms in a batch of \d+", served
    )
    assert "learned prior" in page.locator("#facts").inner_text()


def test_a_seed_gives_its_samples_again_and_a_temperature_others(open_page):
    page = open_page()
    first = pixels(page, "#samples canvas")
    page.locator("#seed").fill("6")
    page.locator("#sample").click()
    changed(page, "#samples canvas", first)
    other = pixels(page, "#samples canvas")
    page.locator("#seed").fill("5")
    page.locator("#sample").click()
    changed(page, "#samples canvas", other)
    assert pixels(page, "#samples canvas") == first
    page.locator("#temperature").fill("0.3")
    changed(page, "#samples canvas", first)


def test_a_draw_has_no_grey(open_page):
    page = open_page()
    before = pixels(page, "#samples canvas")
    assert set(before) - {0, 255}
    page.get_by_label("a draw").check()
    changed(page, "#samples canvas", before)
    assert set(pixels(page, "#samples canvas")) == {0, 255}


def test_a_drawn_digit_is_reconstructed_scored_and_has_neighbours(open_page):
    page = open_page()
    draw_a_one(page)
    page.locator("#nearest .picture").nth(5).wait_for()
    assert re.fullmatch(r"-\d+\.\d nats", page.locator("#elbo").inner_text())
    assert re.fullmatch(r"\d+ of 100", page.locator("#percentile").inner_text())
    seen, again = (pixels(page, selector)[::4] for selector in ("#seen", "#reconstruction"))
    assert len(seen) == len(again) == 28 * 28
    # A one stays a one: what is bright in the drawing is bright in its reconstruction.
    both = sum(a > 128 and b > 128 for a, b in zip(seen, again, strict=True))
    assert both > 0.5 * sum(a > 128 for a in seen)


def test_sliders_move_the_picture_and_a_choice_moves_the_sliders(open_page):
    page = open_page()
    slider = page.locator("#sliders input").first
    start, before = slider.input_value(), pixels(page, "#decoded")
    slider.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    changed(page, "#decoded", before)
    assert float(slider.input_value()) > float(start)
    moved = slider.input_value()
    page.locator("#samples .picture").nth(3).click()
    assert slider.input_value() != moved
    assert page.locator("#samples .picture").nth(3).get_attribute("aria-pressed") == "true"


def test_a_walk_leads_from_one_chosen_sample_to_the_other(open_page):
    page = open_page()
    samples = page.locator("#samples .picture")
    before = pixels(page, "#walk .picture:last-child canvas")
    samples.nth(0).click()
    changed(page, "#walk .picture:last-child canvas", before)
    before = pixels(page, "#walk .picture:last-child canvas")
    samples.nth(1).click()
    changed(page, "#walk .picture:last-child canvas", before)
    for place, chosen in (("first", 0), ("last", 1)):
        walked = pixels(page, f"#walk .picture:{place}-child canvas")
        wanted = pixels(page, f"#samples .picture:nth-child({chosen + 1}) canvas")
        assert max(abs(a - b) for a, b in zip(walked, wanted, strict=True)) <= 2


def test_everything_is_reached_by_keyboard(open_page):
    page = open_page()
    page.locator("#pad").focus()
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.locator("#nearest .picture").nth(5).wait_for()
    before = pixels(page, "#decoded")
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    changed(page, "#decoded", before)


def test_a_finger_draws_on_a_phone_and_nothing_is_wider_than_the_screen(open_page):
    page = open_page(viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.locator("#pad").tap()
    page.locator("#nearest .picture").nth(5).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("resource_exhausted", 429, "The server is busy"),
        ("unavailable", 503, "loading or shutting down"),
        ("unauthenticated", 401, "wants an API key"),
    ],
)
def test_a_refusal_is_told_and_trying_again_helps(open_page, code, status, says):
    page = open_page()
    refused = {"code": code, "message": "for a reason"}
    page.route("**/Sample", lambda route: route.fulfill(status=status, json=refused))
    page.locator("#new-seed").click()
    problem = page.locator("#problem")
    problem.wait_for()
    assert says in problem.inner_text()
    assert "for a reason" in problem.inner_text()
    assert page.locator("#key-form").is_visible() == (code == "unauthenticated")
    page.unroute("**/Sample")
    page.locator("#again").click()
    problem.wait_for(state="hidden")


def test_a_key_is_sent_once_it_was_asked_for(open_page):
    page = open_page()
    keys: list[str | None] = []

    def door(route: Any) -> None:
        keys.append(route.request.headers.get("authorization"))
        if keys[-1] == "Bearer open sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "unauthenticated", "message": "who is there?"})

    page.route("**/Sample", door)
    page.locator("#new-seed").click()
    page.locator("#key").fill("open sesame")
    page.locator("#key-form button").click()
    page.locator("#problem").wait_for(state="hidden")
    assert keys == [None, "Bearer open sesame"]


def test_a_server_that_went_away_is_told(open_page, tmp_path):
    write_artifact(tmp_path / "tiny" / "1")
    with server(tmp_path, "--transport", "envoy") as process:
        page = open_page(target=process.target)
        process.terminate()
        page.locator("#new-seed").click()
        page.locator("#problem").wait_for()
        assert "does not answer" in page.locator("#problem-text").inner_text()


def test_a_model_of_tables_is_told_and_no_error(open_page, tmp_path):
    write_artifact(tmp_path / "table" / "1", item_shape=(5,), likelihood="gaussian", scale=(1.0,) * 5)
    with server(tmp_path, "--transport", "envoy") as process:
        page = open_page(target=process.target, ready=False)
        page.locator("#problem").wait_for()
        assert "tables" in page.locator("#problem-text").inner_text()


def test_nothing_inline_would_run(open_page):
    page = open_page()
    blocked = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert page.evaluate("window.ran") is None
