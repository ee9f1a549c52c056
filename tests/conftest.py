"""What all tests have in common, and how they are divided among processes.

`make test` runs in several processes of pytest-xdist (with `ARGS="-n 0"` in one). Tests that share a server stay
together, so that it is started once. What takes longest starts first.
"""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
# Folders in the order in which they start; others follow.
LONGEST = ("conformance", "e2e", "training")
# A folder, or files, that run in one process with each transport apart; any other file is on its own.
TOGETHER = (
    ("conformance",),
    ("e2e/test_client.py", "e2e/test_hostile.py", "e2e/test_lifecycle.py", "e2e/test_proxy.py", "e2e/test_rpcs.py"),
    ("e2e/test_docs.py", "e2e/test_documents.py", "e2e/test_shipped.py"),
)
TRANSPORT = re.compile(r"\[(?:.*-)?(envoy|grpcio)(?:-.*)?\]$")

assert all((TESTS / place).exists() for places in TOGETHER for place in places)

# The processes are as many as the cores: inside one, a second thread of numpy or torch would only wait for a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's job in the background ignores SIGINT and hands that down to programs whose answer to it is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, from one place: the summary has one line for each reason."""
    for mark in item.iter_markers("needs"):
        if mark.args[0]:
            pytest.skip(mark.args[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # a process of xdist
        items.sort(key=turn)  # stable: what is in one file stays in its order


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadscope` with groups of our own.

    `--dist loadgroup` would read them from marks, but with pytest-xdist 3.8 has no effect on pytest 9.2: it renames
    `_nodeid`, which pytest reads no more.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log) if config.getoption("dist") == "loadscope" else None


def group(nodeid: str) -> str:
    """Where a test belongs, like `e2e/test_versions.py envoy`."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    whole = next((places[0] for places in TOGETHER if file.startswith(places)), file)
    transport = TRANSPORT.search(nodeid)
    return f"{whole} {transport[1]}" if transport else whole


def turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)
