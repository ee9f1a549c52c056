"""A label, a weight and a number drawn settle which version answers."""

import pytest

from server.catalog.routing import Route


def never() -> float:
    raise AssertionError("nothing is to be drawn")


@pytest.mark.parametrize(
    ("label", "drawn", "expected"),
    [("", 0.0, "4"), ("", 0.0999, "4"), ("", 0.1, "3"), ("", 0.9, "3")],
)
def test_a_canary_gets_its_weight_of_the_numbers_drawn(label, drawn, expected):
    assert Route("3", "4", 0.1).pick(label, draw=lambda: drawn) == expected


def test_a_label_is_followed_without_a_draw():
    assert Route("3", "4", 1.0).pick("stable", draw=never) == "3"
    assert Route("3", "4", 0.0).pick("canary", draw=never) == "4"
    assert Route("3").pick("", draw=never) == "3"


def test_shares_add_up_to_one():
    route = Route("3", "4", 0.25)
    assert [route.share(version) for version in ("3", "4", "5")] == [0.75, 0.25, 0.0]
    assert Route("3").share("3") == 1.0
    assert [route.labels(version) for version in ("3", "4", "5")] == [("stable",), ("canary",), ()]
