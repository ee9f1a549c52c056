"""vaeserve.admin.v1.AdminService: the RPCs for the operators of a server."""

from collections.abc import Callable

from google.protobuf.message import Message

from server.core.batching.ticket import Ticket
from server.core.call import Call, CallRecord
from server.core.model import Models
from server.edge.methods import Method, Unary
from server.edge.servicer import summary
from vaeserve.admin.v1 import admin_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"].full_name


class AdminServicer:
    """The handlers of AdminService."""

    def __init__(self, models: Models, *, rescan: Callable[[], Ticket[None]], complaint: Callable[[], str]) -> None:
        """`rescan` scans the models' folder and settles once it is followed; `complaint` says what is wrong with it."""
        self._models = models
        self._rescan = rescan
        self._complaint = complaint

    def methods(self) -> tuple[Method, ...]:
        return (Unary(f"/{SERVICE}/Reload", pb.ReloadRequest, self.reload),)

    async def reload(self, _request: pb.ReloadRequest, _call: Call, _record: CallRecord) -> Message:
        await self._rescan()
        return pb.ReloadResponse(
            models=[summary(entry) for entry in self._models.entries()], complaint=self._complaint()
        )
