"""The examples in Python of docs/how-to/python.md run against a server with the shipped model."""

import re
from pathlib import Path

import pytest

import vaeserve

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
DOCUMENTED = "127.0.0.1:50051"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/how-to/python.md").read_text(), re.MULTILINE | re.DOTALL)


def test_there_are_examples_and_the_first_connects():
    assert len(BLOCKS) >= 7
    assert f'vaeserve.Client("{DOCUMENTED}")' in BLOCKS[0]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[-1][:40] for block in BLOCKS])
def test_an_example_of_the_clients_page_runs(shipped, block):
    with vaeserve.Client(shipped.target, timeout=100.0) as client:
        names = {"vaeserve": vaeserve, "client": client, "items": client.sample(4, seed=1).items}
        exec(block.replace(DOCUMENTED, shipped.target), names)  # noqa: S102 - our own page
