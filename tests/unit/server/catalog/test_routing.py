"""Routing decides which versions are loaded, get calls and are unloaded."""

import pytest

from server.catalog.models_toml import Policy
from server.catalog.routing import Route, VersionState, next_to_load, route, to_unload

NEWEST = Policy()


def state(version: str, what: str = "ready", *, needed: float = 0.0) -> VersionState:
    """`what`: ready, new (on disk, not tried), failed, gone (in memory alone), changed (ready, with other files)."""
    return VersionState(
        version=version,
        on_disk=what != "gone",
        untried=what in ("new", "changed"),
        ready=what in ("ready", "gone", "changed"),
        needed=needed,
    )


@pytest.mark.parametrize(
    ("policy", "states", "current", "expected"),
    [
        (NEWEST, [("2", "ready"), ("1", "ready")], Route("1"), Route("2")),
        (NEWEST, [("2", "new"), ("1", "ready")], Route("1"), Route("1")),
        (NEWEST, [("2", "failed"), ("1", "ready")], Route("1"), Route("1")),
        (NEWEST, [("2", "gone"), ("1", "ready")], Route("2"), Route("1")),
        (NEWEST, [("2", "gone"), ("1", "new")], Route("2"), Route("2")),
        (NEWEST, [("2", "gone")], Route("2"), Route()),
        (NEWEST, [("1", "failed")], Route(), Route()),
        (Policy("1"), [("2", "ready"), ("1", "ready")], Route("2"), Route("1")),
        (Policy("1"), [("2", "ready"), ("1", "new")], Route("2"), Route("2")),
        (Policy("7"), [("2", "ready")], Route(), Route()),
        (Policy("1", "2", 0.1), [("2", "ready"), ("1", "ready")], Route("1"), Route("1", "2", 0.1)),
        (Policy("1", "2", 0.1), [("2", "failed"), ("1", "ready")], Route("1", "2", 0.1), Route("1")),
        (Policy("newest", "3"), [("3", "ready"), ("2", "ready")], Route("3"), Route("2", "3")),
        (Policy("1", "newest", 0.5), [("3", "failed"), ("2", "ready"), ("1", "ready")], Route(), Route("1", "2", 0.5)),
        (Policy("2", "newest", 0.5), [("2", "ready"), ("1", "ready")], Route("2"), Route("2")),
    ],
)
def test_calls_go_to_what_the_policy_asks_for_as_soon_as_it_is_ready(policy, states, current, expected):
    assert route(policy, [state(*s) for s in states], current=current) == expected


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        (NEWEST, [("3", "new"), ("2", "new"), ("1", "ready")], "3"),
        (NEWEST, [("3", "failed"), ("2", "new"), ("1", "ready")], "2"),
        (NEWEST, [("3", "ready"), ("2", "new")], ""),
        (NEWEST, [("3", "failed"), ("2", "ready"), ("1", "new")], ""),
        (NEWEST, [("3", "changed")], "3"),
        (NEWEST, [("2", "gone"), ("1", "new")], "1"),
        (Policy("1"), [("3", "new"), ("1", "new")], "1"),
        (Policy("1"), [("3", "new"), ("1", "ready")], ""),
        (Policy("7"), [("3", "new")], ""),
        (Policy("2", "3"), [("3", "new"), ("2", "ready"), ("1", "new")], "3"),
        (Policy(keep=("1",)), [("3", "ready"), ("2", "new"), ("1", "new")], "1"),
    ],
)
def test_only_versions_that_the_policy_asks_for_are_loaded(policy, states, expected):
    assert next_to_load(policy, [state(*s) for s in states]) == expected


def test_the_start_also_loads_versions_for_a_rollback():
    states = [state("2"), state("1", "new")]
    assert next_to_load(NEWEST, states, everything=True) == "1"


def test_an_unused_version_stays_for_the_window_and_no_longer():
    states = [state("3"), state("2", needed=100.0), state("1", needed=50.0)]
    assert to_unload(NEWEST, states, Route("3"), now=109.0, window=60.0) == []
    assert to_unload(NEWEST, states, Route("3"), now=110.0, window=60.0) == ["1"]
    assert to_unload(Policy(keep=("1",)), states, Route("3"), now=1000.0, window=60.0) == ["2"]
    assert to_unload(NEWEST, states, Route("3", "1"), now=1000.0, window=60.0) == ["2"]


def test_a_version_gone_from_disk_is_unloaded_at_once_unless_it_has_a_role():
    states = [state("2", "gone", needed=100.0), state("1")]
    assert to_unload(NEWEST, states, Route("1"), now=100.0, window=60.0) == ["2"]
    assert to_unload(NEWEST, states, Route("2"), now=100.0, window=0.0) == ["1"]


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
