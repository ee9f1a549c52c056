"""How the tests are divided among the processes of pytest-xdist (`make test`; one process with `ARGS="-n 0"`).

Tests that share a server or a training run stay together, so that it is made once. Long groups start first.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Fixtures of a whole session that take seconds to make: all tests that use one are one group.
SHARED = ("serve", "shared", "trained")
# Folders whose tests take longest, in the order in which they start; others follow.
LONGEST = ("conformance", "e2e", "training")
TRANSPORTS = ("envoy", "grpcio")

# The processes are as many as the cores: inside one, a second thread of numpy or torch would only wait for a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):  # not a process of xdist
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=turn)  # stable: what is in one file stays in its order


def group(item: pytest.Item) -> str:
    """Its most expensive shared fixture, else its file; with each transport apart."""
    shared = next((name for name in SHARED if name in getattr(item, "fixturenames", ())), None)
    parameters: Mapping[str, object] = item.callspec.params if hasattr(item, "callspec") else {}
    transport = [value for value in parameters.values() if isinstance(value, str) and value in TRANSPORTS]
    return " ".join(map(str, [shared or item.path.relative_to(TESTS), *transport[:1]]))


def turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)
