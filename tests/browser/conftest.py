"""A real Chromium in front of a real server with the shipped model."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import ServerProcess, server

sync_api = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
Open = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def served() -> Iterator[ServerProcess]:
    with server(ROOT / "exported", "--transport", "envoy", "--max-queue-rows", "4096") as process:
        yield process


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(served: ServerProcess, chromium: Any) -> Iterator[Open]:
    """Opens the page and waits for its pictures. At the end: nothing was asked of another host, and nothing failed."""
    contexts, elsewhere, errors = [], [], []

    def opened(*, ready: bool = True, target: str = served.target, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: None if _ours(request.url, target) else elsewhere.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://{target}/")
        if ready:
            page.locator("#walk .picture").nth(10).wait_for()
            page.locator("#samples .picture").nth(35).wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert errors == []


def _ours(url: str, target: str) -> bool:
    return url.startswith((f"http://{target}/", "data:", "blob:"))
