"""A thread that calls all the time and keeps versions, digests and failures."""

import threading
from collections import Counter

import grpc

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc


class SteadyCaller(threading.Thread):
    """Samples and reconstructs in turn until `stop`; never retries."""

    def __init__(self, target: str, *, items: pb.Tensor, model: str = "") -> None:
        super().__init__(daemon=True)
        self._target, self._items = target, items
        self._model = pb.ModelSelector(name=model)
        self._stop_calling = threading.Event()
        self.versions: Counter[str] = Counter()  # of the answers
        self.digests: set[tuple[str, str, bytes]] = set()  # version, digest and rows of every Sample
        self.failures: list[str] = []

    def run(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(self._target, options=options) as channel:
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            while not self._stop_calling.is_set():
                try:
                    drawn = stub.Sample(pb.SampleRequest(model=self._model, count=2, seed=7), timeout=60)
                    self.digests.add((drawn.model.version, drawn.model.digest, drawn.items.data))
                    again = stub.Reconstruct(pb.ReconstructRequest(model=self._model, items=self._items), timeout=60)
                    self.versions.update((drawn.model.version, again.model.version))
                except grpc.RpcError as error:
                    self.failures.append(f"{error.code().name}: {error.details()}")

    def stop(self) -> None:
        self._stop_calling.set()
        self.join()
