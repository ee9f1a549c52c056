"""`make pictures`: the page's screenshots in docs/pictures, by the shipped model."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
COLOURS = 24
LOOKS = {
    "playground-light": {"color_scheme": "light"},
    "playground-dark": {"color_scheme": "dark"},
    "playground-phone": {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True},
}
HEIGHTS = {"playground-dark": 900, "playground-phone": 1900}  # the rest of it looks alike


def draw_a_seven(page: Any) -> None:
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    corners = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"])
        for x, y in ((0.25, 0.25), (0.75, 0.25), (0.4, 0.85))
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    page.locator("#nearest .picture").nth(5).wait_for()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("name", LOOKS)
def test_picture(open_page, name):
    page = open_page(**LOOKS[name])
    draw_a_seven(page)
    page.evaluate("scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = picture.crop((0, 0, picture.width, HEIGHTS.get(name, picture.height)))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)
