"""gRPC's length-prefixed messages (a flag byte, four bytes of length, the message), read and written."""

import zlib

from server.edge.status import Code, RefusedCall, Status

PREFIX_BYTES = 5
# The encodings that grpcio's server accepts too, with zlib's window bits for their container: 31 is gzip, 15 is zlib.
DECOMPRESSIBLE = {b"gzip": 31, b"deflate": 15}
ACCEPTED = ",".join(["identity", *(name.decode() for name in DECOMPRESSIBLE)])


def frame(message: bytes) -> bytes:
    """The frame of a message, uncompressed."""
    return b"".join((b"\0", len(message).to_bytes(4, "big"), message))  # join makes one copy, a chain of + may make two


def only_message(piece: bytes, *, max_bytes: int) -> bytes | None:
    """The message if this piece is exactly one uncompressed message of at most `max_bytes`; else None."""
    size = len(piece) - PREFIX_BYTES
    if 0 <= size <= max_bytes and piece[0] == 0 and int.from_bytes(piece[1:PREFIX_BYTES], "big") == size:
        return piece[PREFIX_BYTES:]
    return None


class Frames:
    """Reads messages from pieces of a body, whose boundaries may be anywhere."""

    __slots__ = ("_encoding", "_held", "_max_bytes", "_pieces", "_wanted")

    def __init__(self, *, max_bytes: int, encoding: bytes) -> None:
        """`max_bytes` limits one message, before and after decompression; `encoding` is the grpc-encoding header."""
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._pieces: list[bytes] = []
        self._held = 0  # bytes in the pieces
        self._wanted = PREFIX_BYTES  # bytes needed for the next step

    @property
    def cut(self) -> bool:
        """Whether a message has begun that is not complete."""
        return self._held > 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that this piece completes.

        Raises RefusedCall. A message that is too large is refused as soon as its length is known.
        """
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held < self._wanted:
            return []
        data = b"".join(self._pieces)
        messages: list[bytes] = []
        start = 0
        while len(data) - start >= PREFIX_BYTES:
            body = start + PREFIX_BYTES
            size = int.from_bytes(data[start + 1 : body], "big")
            if size > self._max_bytes:
                raise RefusedCall(_too_large(self._max_bytes, f"{size}"))
            self._wanted = PREFIX_BYTES + size
            if len(data) < body + size:
                break
            messages.append(self._plain(data[start], data[body : body + size]))
            start = body + size
            self._wanted = PREFIX_BYTES
        self._pieces = [data[start:]]
        self._held = len(data) - start
        return messages

    def _plain(self, flag: int, data: bytes) -> bytes:
        if flag == 0:
            return data
        if flag != 1:
            raise RefusedCall(Status(Code.INTERNAL, f"a message's compression flag must be 0 or 1, got {flag}"))
        if self._encoding in {b"", b"identity"}:
            raise RefusedCall(
                Status(Code.INTERNAL, "a message is marked compressed, but grpc-encoding names no encoding")
            )
        if self._encoding not in DECOMPRESSIBLE:
            name = self._encoding.decode("ascii", "replace")
            message = f"grpc-encoding must be one of {ACCEPTED}, got {name!r}"
            raise RefusedCall(Status(Code.UNIMPLEMENTED, message, (("grpc-accept-encoding", ACCEPTED),)))
        return self._decompressed(data)

    def _decompressed(self, data: bytes) -> bytes:
        inflate = zlib.decompressobj(DECOMPRESSIBLE[self._encoding])
        try:
            message = inflate.decompress(data, self._max_bytes + 1)
        except zlib.error:
            message = b""
        if len(message) > self._max_bytes:
            raise RefusedCall(_too_large(self._max_bytes, "more, decompressed"))
        if not inflate.eof:
            raise RefusedCall(Status(Code.INTERNAL, f"a message is not {self._encoding.decode()} data"))
        return message


def _too_large(max_bytes: int, got: str) -> Status:
    return Status(Code.RESOURCE_EXHAUSTED, f"a message must be at most {max_bytes} bytes, got {got}")
