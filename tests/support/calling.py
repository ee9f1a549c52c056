"""Threads that call a server all the time during a test, and the outcomes of their calls."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

WAIT_SECONDS = 120.0


class Outcomes:
    """The number of answers, and the failures."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._answers = 0
        self._changed = threading.Condition()

    def answered(self) -> None:
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def failed(self, error: grpc.RpcError) -> None:
        with self._changed:
            self.failures.append(str(error))
            self._changed.notify_all()

    def wait_for_answers(self, more: int) -> None:
        """Until so many more calls were answered than now, or one failed."""
        with self._changed:
            enough = self._answers + more
            assert self._changed.wait_for(lambda: self._answers >= enough or self.failures, WAIT_SECONDS)


@contextmanager
def calling(target: str, *, threads: int) -> Iterator[Outcomes]:
    """Threads that Sample one row after the other, without retries of their own."""
    outcomes, end = Outcomes(), threading.Event()

    def call(stub: vaeserve_pb2_grpc.VaeServiceStub) -> None:
        while not end.is_set():
            try:
                stub.Sample(pb.SampleRequest(count=1), timeout=10)
                outcomes.answered()
            except grpc.RpcError as error:
                outcomes.failed(error)

    with grpc.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        callers = [threading.Thread(target=call, args=(stub,)) for _ in range(threads)]
        for caller in callers:
            caller.start()
        try:
            yield outcomes
        finally:
            end.set()
            for caller in callers:
                caller.join()
