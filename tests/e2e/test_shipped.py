"""The artifacts in exported/, served as a user would serve them."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.e2e


@pytest.fixture
def stub(shipped) -> Iterator[vaeserve_pb2_grpc.VaeServiceStub]:
    with grpc.insecure_channel(shipped.target) as channel:
        yield vaeserve_pb2_grpc.VaeServiceStub(channel)


@pytest.mark.parametrize("output", [pb.OUTPUT_MODE_MEAN, pb.OUTPUT_MODE_DRAW])
def test_row_7_of_100_equals_the_row_asked_for_alone(stub, output):
    many = stub.Sample(pb.SampleRequest(count=100, seed=5, output=output))
    one = stub.Sample(pb.SampleRequest(count=1, seed=5, first_row=7, output=output))
    size = len(one.items.data)
    assert many.items.data[7 * size : 8 * size] == one.items.data


def test_samples_look_like_digits_to_the_numbers(stub):
    """Not blank, not noise: ink in the middle, none at the rim, and rows that differ."""
    items = np.frombuffer(stub.Sample(pb.SampleRequest(count=256, seed=1)).items.data, "<f4").reshape(-1, 28, 28)
    assert 0.05 < items.mean() < 0.25  # MNIST itself: 0.13
    assert items[:, :2].mean() < 0.02
    assert items[:, 8:20, 8:20].mean() > 0.2
    assert items.std(axis=0).max() > 0.3
