"""grpc.health.v1: tells which services take traffic now, and streams the changes to watchers."""

import threading
from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from server.core.batching.ticket import Ticket
from server.core.call import Call, CallRecord
from server.edge.methods import Messages, Method, ServerStream, Unary
from server.errors import NotFound

SERVICE = "grpc.health.v1.Health"
# Finds out whether a service that should serve does answer.
Probe: TypeAlias = Callable[[], Ticket[bool]]


def _always() -> Ticket[bool]:
    ticket: Ticket[bool] = Ticket()
    ticket.succeed(True)
    return ticket


class Health:
    """The state of each service; "" is the server as a whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serving: dict[str, bool] = {}
        self._probes: dict[str, Probe] = {}
        self._failing: set[str] = set()  # services whose last probe failed
        self._watchers: set[_Watch] = set()
        self._shutting_down = False
        self.closed = False

    def set(self, service: str, *, serving: bool, probe: Probe = _always) -> None:
        """Say whether a service should serve. If so, every check calls `probe`."""
        self._serving[service] = serving
        self._probes[service] = probe
        self._notify_watchers()

    def remove(self, service: str) -> None:
        """Make a service unknown."""
        self._serving.pop(service, None)
        self._failing.discard(service)
        self._notify_watchers()

    @property
    def serving(self) -> bool:
        """Whether the server as a whole takes traffic."""
        return bool(self.status("") == HealthCheckResponse.SERVING)

    def stop_serving(self) -> None:
        """Report NOT_SERVING for every service from now on: the server will shut down."""
        self._shutting_down = True
        self._notify_watchers()

    def close(self) -> None:
        """End every watch: the server shuts down now."""
        self.closed = True
        self._notify_watchers()

    def methods(self) -> tuple[Method, ...]:
        return (
            Unary(f"/{SERVICE}/Check", HealthCheckRequest, self._check, public=True),
            ServerStream(f"/{SERVICE}/Watch", HealthCheckRequest, self._watch, until="stop", public=True),
        )

    def status(self, service: str) -> "HealthCheckResponse.ServingStatus":
        serving = self._serving.get(service)
        if serving is None:
            return HealthCheckResponse.SERVICE_UNKNOWN
        if serving and service not in self._failing and not self._shutting_down:
            return HealthCheckResponse.SERVING
        return HealthCheckResponse.NOT_SERVING

    def forget(self, watch: "_Watch") -> None:
        with self._lock:
            self._watchers.discard(watch)

    def _notify_watchers(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.changed()

    async def _check(self, request: HealthCheckRequest, _call: Call, _record: CallRecord) -> Message:
        service = request.service
        if self._serving.get(service) and not self._shutting_down:
            self._probed(service, (await self._probes[service]()))
        status = self.status(service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise NotFound(f"service {service!r} is unknown")
        response: Message = HealthCheckResponse(status=status)
        return response

    def _probed(self, service: str, answers: bool) -> None:
        if answers == (service not in self._failing):
            return
        if answers:
            self._failing.discard(service)
        else:
            self._failing.add(service)
        self._notify_watchers()

    def _watch(self, request: HealthCheckRequest, _call: Call, _record: CallRecord) -> Messages:
        watch = _Watch(self, request.service)
        with self._lock:
            self._watchers.add(watch)
        return watch


class _Watch:
    """The stream of one watcher: the state at once, then every change. An implementation of methods.Messages."""

    def __init__(self, health: Health, service: str) -> None:
        self._health, self._service = health, service
        self._sent: int | None = None
        self._change: Ticket[None] = Ticket()

    async def next(self) -> Message | None:
        while (status := self._health.status(self._service)) == self._sent:
            # The ticket comes before the second reading of the state, so that no change is missed between the two.
            self._change = Ticket()
            if self._health.closed:
                return None
            if self._health.status(self._service) == self._sent:
                await self._change
        self._sent = status
        response: Message = HealthCheckResponse(status=status)
        return response

    def changed(self) -> None:
        self._change.succeed(None)

    def close(self) -> None:
        self._health.forget(self)
        self._change.cancel()
