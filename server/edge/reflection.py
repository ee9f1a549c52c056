"""grpc.reflection: lets grpcurl, buf curl and the like find the services and their messages."""

from collections.abc import Iterable

from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from server.core.caller import Caller
from server.core.ticket import Steps
from server.edge.methods import Dialogue, Method


def methods(services: Iterable[str]) -> tuple[Method, ...]:
    """Reflection over the services named and itself."""
    # grpcio's servicer looks descriptors up and never touches the call it is given.
    servicer = reflection.ReflectionServicer((*services, reflection.SERVICE_NAME))

    def answer(request: ServerReflectionRequest, caller: Caller) -> Steps[Message]:  # noqa: ARG001
        yield from ()
        response: Message
        (response,) = servicer.ServerReflectionInfo(iter([request]), None)
        return response

    return (Dialogue(f"/{reflection.SERVICE_NAME}/ServerReflectionInfo", ServerReflectionRequest, answer),)
