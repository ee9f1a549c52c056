"""The batcher's promises under full load from a client written in C++."""

import time
from collections import Counter

import grpc
import pytest
from support.messages import SAMPLE, SERVICE, WIDE, items, sample

from bench.generator import CannotBuild, Generator, Load, build
from vaeserve.v1 import vaeserve_pb2 as pb

pytestmark = pytest.mark.slow
ENCODE = f"/{SERVICE}/Encode"
ONE_ROW = {"callers": 64, "seconds": 2, "warm_up": 0.2}
REPLAYED = pb.SampleRequest(count=8, seed=3, first_row=5)


@pytest.fixture(scope="module")
def generator() -> Generator:
    try:
        return Generator(build(), channels=4)
    except CannotBuild as problem:
        pytest.skip(str(problem))


@pytest.fixture
def expected(stub) -> bytes:
    """The replayed rows, drawn while there are no other calls."""
    return stub.Sample(REPLAYED, timeout=30).items.data


def every(load: Load) -> Counter[str]:
    return Counter(load.codes) + Counter(load.codes_outside)


def until_nothing_waits(served) -> None:
    end = time.monotonic() + 30
    while served.sum("vae_queue_rows") or served.sum("vae_inflight_rows"):
        assert time.monotonic() < end


def test_every_good_call_is_answered_beside_rubbish_and_all_rubbish_refused(generator, served):
    row = pb.EncodeRequest(items=items(1)).SerializeToString()
    cut = pb.EncodeRequest(items=pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=[1, 1, 4, 3], data=bytes(48)))
    good, bad = generator.run(
        served.target,
        ENCODE,
        callers=64,
        seconds=30,
        warm_up=0,
        payloads=[row],
        rubbish=cut.SerializeToString(),
        calls=7000,
    )
    assert good.codes == {"OK": 7000}
    assert set(every(bad)) == {"INVALID_ARGUMENT"}


def test_rows_are_the_same_bytes_whatever_else_is_in_their_batch(generator, served, stub, expected):
    got = []

    def halfway() -> None:
        got.extend(stub.Sample(REPLAYED, timeout=30).items.data for _ in range(20))

    good, _ = generator.run(served.target, SAMPLE, payloads=[sample(seed=7)], halfway=halfway, **ONE_ROW)
    assert set(every(good)) == {"OK"}
    assert got == [expected] * 20


def test_callers_who_leave_disturb_nobody(generator, served, stub, expected):
    left = []

    def halfway() -> None:
        calls = [stub.Sample.future(pb.SampleRequest(count=512, seed=1)) for _ in range(20)]
        for call in calls:
            call.cancel()
        left.extend(call.code() for call in calls)
        assert stub.Sample(REPLAYED, timeout=30).items.data == expected

    good, _ = generator.run(served.target, SAMPLE, payloads=[sample(seed=7)], halfway=halfway, **ONE_ROW)
    assert set(every(good)) == {"OK"}
    assert set(left) <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}
    until_nothing_waits(served)


def test_a_storm_of_short_deadlines_leaves_nothing_behind_and_harms_nobody(generator, served, stub, expected):
    def halfway() -> None:
        assert stub.Sample(REPLAYED, timeout=30).items.data == expected

    good, _ = generator.run(served.target, SAMPLE, payloads=[sample(seed=7)], deadline_ms=4, halfway=halfway, **ONE_ROW)
    assert set(every(good)) <= {"OK", "DEADLINE_EXCEEDED"}
    until_nothing_waits(served)
    assert stub.Sample(REPLAYED, timeout=30).items.data == expected


def test_too_much_is_refused_and_what_was_accepted_is_answered(generator, served, stub, expected):
    rows = pb.EncodeRequest(items=items(512), model=WIDE).SerializeToString()
    good, _ = generator.run(served.target, ENCODE, callers=32, seconds=2, warm_up=0, payloads=[rows])
    assert set(every(good)) == {"OK", "RESOURCE_EXHAUSTED"}
    until_nothing_waits(served)
    assert stub.Sample(REPLAYED, timeout=30).items.data == expected


def test_a_huge_request_does_not_starve_a_small_one(generator, served, stub):
    huge = pb.EncodeRequest(items=items(2048), model=WIDE)
    began = time.monotonic()
    stub.Encode(huge, timeout=60)
    # Long enough for several of them to end on a machine of any speed.
    seconds = max(4.0, 6 * (time.monotonic() - began))
    small = []

    def halfway() -> None:
        for _ in range(5):
            began = time.monotonic()
            stub.Encode(pb.EncodeRequest(items=items(1), model=WIDE), timeout=30)
            small.append(1000 * (time.monotonic() - began))

    payloads = [huge.SerializeToString()]
    good, _ = generator.run(
        served.target, ENCODE, callers=1, seconds=seconds, warm_up=0, payloads=payloads, halfway=halfway
    )
    assert set(every(good)) == {"OK"}
    assert sorted(small)[2] < good.p50_ms / 2
