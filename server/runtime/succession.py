"""Which versions of a model to load, to give its calls to, and to unload. Pure: facts and the time in, a choice out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.core.route import Route
from server.runtime.policy import NEWEST, Policy


@dataclass(frozen=True, slots=True)
class Standing:
    """How a version stands."""

    version: str
    on_disk: bool
    untried: bool  # what lies on disk now is neither loaded nor was refused
    ready: bool  # in memory
    needed: float  # when it last took calls, seconds


def route(policy: Policy, standings: Sequence[Standing], *, current: Route) -> Route:
    """Who takes the calls; `standings` newest first.

    The stable version goes on while the one that the policy asks for is not ready, but not without any version on disk.
    """
    if not any(standing.on_disk for standing in standings):
        return Route()
    ready = {standing.version for standing in standings if standing.ready}
    stables, canaries = _candidates(policy, standings)
    canary = _first(canaries, ready)
    return Route(_first([*stables, current.stable], ready), canary, policy.weight if canary else 0.0)


def next_to_load(policy: Policy, standings: Sequence[Standing], *, everything: bool = False) -> str:
    """The version to load next, "" if none: of each role the newest that is not refused; then those to keep.

    With `everything` every other version too.
    """
    standing_of = {standing.version: standing for standing in standings}
    for candidates in _candidates(policy, standings):
        for version in candidates:
            standing = standing_of.get(version)
            if standing and standing.untried:
                return version
            if standing and standing.ready:
                break
    for standing in standings:
        if standing.untried and (everything or standing.version in policy.keep):
            return standing.version
    return ""


def to_unload(policy: Policy, standings: Iterable[Standing], taken: Route, *, now: float, window: float) -> list[str]:
    """The versions to unload: their folder is gone, or nobody has needed them for `window` seconds."""
    return [
        standing.version
        for standing in standings
        if standing.ready
        and standing.version not in (taken.stable, taken.canary)
        and (
            not standing.on_disk
            or (standing.version not in policy.keep and now - standing.needed >= window)
        )
    ]  # fmt: skip


def _candidates(policy: Policy, standings: Iterable[Standing]) -> tuple[list[str], list[str]]:
    """The versions that may be stable and canary, the most wanted first."""
    on_disk = [standing.version for standing in standings if standing.on_disk]
    stables = [v for v in on_disk if v != policy.canary] if policy.stable == NEWEST else [policy.stable]
    if policy.canary != NEWEST:
        return stables, [policy.canary] if policy.canary else []
    return stables, [v for v in on_disk if int(v) > int(policy.stable)]


def _first(versions: Iterable[str], ready: set[str]) -> str:
    return next((version for version in versions if version in ready), "")
