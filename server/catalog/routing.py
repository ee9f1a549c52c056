"""Decides which versions of a model get its calls, and which to load or unload. Pure: the time is an argument."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from server.catalog.models_toml import NEWEST, Policy

STABLE, CANARY = LABELS = ("stable", "canary")


@dataclass(frozen=True, slots=True)
class Route:
    """The versions that get a model's calls; "" means none."""

    stable: str = ""
    canary: str = ""
    weight: float = 0.0  # the canary's share of the calls that name neither version nor label

    def pick(self, label: str, *, draw: Callable[[], float]) -> str:
        """The version for a label, which may be "". `draw` returns a number in [0, 1); it is called only if needed."""
        if label == CANARY:
            return self.canary
        if label == "" and self.canary and draw() < self.weight:
            return self.canary
        return self.stable

    def labels(self, version: str) -> tuple[str, ...]:
        """The labels of a version: stable, canary, both or none."""
        return tuple(label for label, named in zip(LABELS, (self.stable, self.canary), strict=True) if named == version)

    def share(self, version: str) -> float:
        """A version's share of the calls that name neither version nor label, 0..1."""
        weight = self.weight if self.canary else 0.0
        return (1.0 - weight) * (version == self.stable) + weight * (version == self.canary)


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state of one version, as far as routing and loading depend on it."""

    version: str
    on_disk: bool
    untried: bool  # the files on disk now were neither loaded nor refused
    ready: bool  # in memory
    needed: float  # when it was last used or routed to, clock, seconds


def route(policy: Policy, states: Sequence[VersionState], *, current: Route) -> Route:
    """The route that the policy asks for, as far as versions are ready; `states` newest first.

    The current stable version keeps its calls until one that the policy asks for is ready. If no version is on disk,
    the route is empty.
    """
    if not any(state.on_disk for state in states):
        return Route()
    ready = {state.version for state in states if state.ready}
    stables, canaries = _candidates(policy, states)
    canary = _first(canaries, ready)
    return Route(_first([*stables, current.stable], ready), canary, policy.weight if canary else 0.0)


def next_to_load(policy: Policy, states: Sequence[VersionState], *, everything: bool = False) -> str:
    """The version to load next, or "" if none.

    First comes the most wanted version of each role that was not refused, then those that the policy keeps. With
    `everything` all other versions follow.
    """
    state_of = {state.version: state for state in states}
    for candidates in _candidates(policy, states):
        for version in candidates:
            state = state_of.get(version)
            if state and state.untried:
                return version
            if state and state.ready:
                break
    for state in states:
        if state.untried and (everything or state.version in policy.keep):
            return state.version
    return ""


def to_unload(
    policy: Policy, states: Iterable[VersionState], current: Route, *, now: float, window: float
) -> list[str]:
    """The versions to unload: without a role, and gone from disk, or not kept and unused for `window` seconds."""
    return [
        state.version
        for state in states
        if state.ready
        and state.version not in (current.stable, current.canary)
        and (
            not state.on_disk
            or (state.version not in policy.keep and now - state.needed >= window)
        )
    ]  # fmt: skip


def _candidates(policy: Policy, states: Iterable[VersionState]) -> tuple[list[str], list[str]]:
    """The versions that may become stable, and those that may become canary; the most wanted first."""
    on_disk = [state.version for state in states if state.on_disk]
    stables = [v for v in on_disk if v != policy.canary] if policy.stable == NEWEST else [policy.stable]
    if policy.canary != NEWEST:
        return stables, [policy.canary] if policy.canary else []
    return stables, [v for v in on_disk if int(v) > int(policy.stable)]


def _first(versions: Iterable[str], ready: set[str]) -> str:
    return next((version for version in versions if version in ready), "")
