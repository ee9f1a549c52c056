"""A real gRPC server in this process that answers as `support.fake_service` does."""

from collections.abc import Iterator

import pytest
from support.fake_service import FakeService, serving


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def target(service: FakeService) -> Iterator[str]:
    with serving(service) as target:
        yield target
