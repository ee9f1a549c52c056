"""gRPC's message framing: pieces cut anywhere give the same messages, and lengths are checked before use."""

import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.edge.status import Code, RefusedCall
from server.edge.transports.envoy.frames import Frames, frame, only_message

MESSAGES = st.lists(st.binary(max_size=40), max_size=6)


def frames(*, encoding: bytes = b"", max_bytes: int = 100) -> Frames:
    return Frames(max_bytes=max_bytes, encoding=encoding)


def compressed(data: bytes) -> bytes:
    return b"\1" + len(data).to_bytes(4, "big") + data


def refusal(reader: Frames, piece: bytes) -> Code:
    with pytest.raises(RefusedCall) as refused:
        reader.feed(piece)
    return refused.value.status.code


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 300), max_size=8))
def test_pieces_may_be_cut_and_joined_anywhere(messages, cuts):
    stream = b"".join(map(frame, messages))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader, got = frames(), []
    for start, stop in itertools.pairwise(edges):
        got += reader.feed(stream[start:stop])
    assert got == messages
    assert not reader.cut


def test_a_message_that_has_only_begun_is_cut():
    reader = frames()
    assert reader.feed(frame(b"abc")[:-1]) == []
    assert reader.cut
    assert reader.feed(b"c") == [b"abc"]


def test_a_whole_message_in_one_piece_is_read_directly():
    assert only_message(frame(b"abc"), max_bytes=3) == b"abc"
    assert only_message(frame(b""), max_bytes=3) == b""


@pytest.mark.parametrize(
    "piece", [b"", b"\0\0\0", frame(b"abc")[:-1], frame(b"abc") + b"\0", frame(b"abcd"), compressed(b"abc")]
)
def test_any_other_piece_is_left_to_frames(piece):
    assert only_message(piece, max_bytes=3) is None


def test_a_message_too_large_is_refused_when_its_length_is_known():
    assert refusal(frames(max_bytes=3), b"\0\0\0\0\4") is Code.RESOURCE_EXHAUSTED
    assert frames(max_bytes=4).feed(frame(b"abcd")) == [b"abcd"]


@pytest.mark.parametrize(
    ("encoding", "data"), [(b"gzip", gzip.compress(b"abc", mtime=0)), (b"deflate", zlib.compress(b"abc"))]
)
def test_compressed_messages_are_read(encoding, data):
    assert frames(encoding=encoding).feed(compressed(data) + frame(b"plain")) == [b"abc", b"plain"]


def test_a_small_message_that_grows_too_large_is_refused():
    assert refusal(frames(encoding=b"gzip"), compressed(gzip.compress(bytes(101)))) is Code.RESOURCE_EXHAUSTED
    assert frames(encoding=b"gzip").feed(compressed(gzip.compress(bytes(100)))) == [bytes(100)]


def test_an_unsupported_encoding_is_unimplemented_and_the_supported_ones_are_named():
    with pytest.raises(RefusedCall) as refused:
        frames(encoding=b"snappy").feed(compressed(b"abc"))
    status = refused.value.status
    assert status.code is Code.UNIMPLEMENTED
    assert status.trailers == (("grpc-accept-encoding", "identity,gzip,deflate"),)
    assert frames(encoding=b"snappy").feed(frame(b"plain")) == [b"plain"]


@pytest.mark.parametrize(
    ("encoding", "piece"),
    [
        (b"", compressed(b"abc")),
        (b"identity", compressed(b"abc")),
        (b"gzip", compressed(b"abc")),
        (b"gzip", compressed(gzip.compress(b"abc", mtime=0)[:-9])),
        (b"", b"\2\0\0\0\0"),
    ],
)
def test_a_message_that_cannot_be_read_is_internal(encoding, piece):
    assert refusal(frames(encoding=encoding), piece) is Code.INTERNAL
