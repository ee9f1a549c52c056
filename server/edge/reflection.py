"""grpc.reflection: lets tools such as grpcurl and buf curl discover the services and their messages."""

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from server.core.call import Call, CallRecord
from server.edge.inference_v2 import descriptors
from server.edge.methods import Dialogue, Method


class _Pools:
    """Several descriptor pools behind the interface of one: the first pool that knows a name answers."""

    def __init__(self, *pools: DescriptorPool) -> None:
        self._pools = pools

    def __getattr__(self, find: str) -> Callable[..., Any]:
        def first(*names: Any) -> Any:
            missing = KeyError(*names)
            for pool in self._pools:
                try:
                    return getattr(pool, find)(*names)
                except KeyError as error:
                    missing = error
            raise missing

        return first


def methods(services: Iterable[str]) -> tuple[Method, ...]:
    """The reflection method, for these services and itself."""
    # grpcio's servicer looks descriptors up and never uses its context argument, hence None.
    servicer = reflection.ReflectionServicer(
        (*services, reflection.SERVICE_NAME), pool=_Pools(descriptor_pool.Default(), descriptors.POOL)
    )

    async def answer(request: ServerReflectionRequest, _call: Call, _record: CallRecord) -> Message:
        response: Message
        (response,) = servicer.ServerReflectionInfo(iter([request]), None)
        return response

    return (Dialogue(f"/{reflection.SERVICE_NAME}/ServerReflectionInfo", ServerReflectionRequest, answer),)
