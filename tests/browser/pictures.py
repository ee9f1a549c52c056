"""`make pictures`: the page's screenshots in docs/pictures, by the shipped model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LOOKS = {
    "playground-light": {"color_scheme": "light"},
    "playground-dark": {"color_scheme": "dark"},
    "playground-phone": {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True},
}


@contextmanager
def a_seven(page: Any) -> Iterator[None]:
    """A digit by mouse: something to reconstruct."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
    page.mouse.move(*at(0.25, 0.25))
    page.mouse.down()
    page.mouse.move(*at(0.75, 0.25), steps=8)
    page.mouse.move(*at(0.4, 0.85), steps=8)
    page.mouse.up()
    page.locator("#nearest .picture").nth(5).wait_for()
    page.wait_for_load_state("networkidle")
    yield


@pytest.mark.parametrize("name", LOOKS)
def test_picture(open_page, name):
    page = open_page(**LOOKS[name])
    with a_seven(page):
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
