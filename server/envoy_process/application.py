"""The server as the ASGI application that Envoy runs, in the Python interpreter that pyvoy embeds.

Envoy imports this module on its main thread, which it keeps for itself: the event loop runs on another thread.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn

from server.app.serve import serve
from server.edge.boundary import Boundary
from server.edge.methods import MethodTable
from server.edge.transports.connections import Connections
from server.edge.transports.envoy import client_certificate
from server.edge.transports.envoy.admin import Admin
from server.edge.transports.envoy.hangups import Hangups
from server.edge.transports.envoy.listener import Listener
from server.edge.transports.envoy.sds import Secrets
from server.edge.transports.envoy.transport import EnvoyTransport
from server.edge.web.app import WebApp
from server.edge.web.cors import CorsPolicy
from server.process import exit_codes, signals
from server.process.handover import ENVOY_HANDOVER, EnvoyHandover, Worker
from server.settings import read


class Application:
    """Runs the server in the ASGI lifespan call, which ends with the process; passes other calls to the transport."""

    _asgi_single_callable = True  # tells pyvoy that this is ASGI 3, as __call__ is no coroutine function

    def __init__(self) -> None:
        self._transport: EnvoyTransport | None = None

    def __call__(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> Coroutine[Any, Any, None]:
        if scope["type"] == "lifespan":
            return self._live(send)
        assert self._transport is not None
        return self._transport(scope, receive, send)

    async def _live(self, send: Callable[[Any], Awaitable[None]]) -> NoReturn:
        signal_thread = SignalThread()
        try:
            code = await self._serve(send, signal_thread)
        except BaseException:
            traceback.print_exc()
            code = 1
        # Not through Envoy's own shutdown, which waits for no calls and sets no exit code.
        sys.stderr.flush()
        os._exit(code)

    async def _serve(self, send: Callable[[Any], Awaitable[None]], signal_thread: "SignalThread") -> int:
        sys.path.remove(".")  # pyvoy puts the working directory before the paths that the launcher set
        handover = EnvoyHandover.from_json(os.environ.pop(ENVOY_HANDOVER))
        settings = read(handover.arguments, os.environ)
        worker = Worker.from_json(handover.worker) if handover.worker else None
        listener = Listener(
            admin=Admin(Path(handover.admin)),
            let_listen=lambda: send({"type": "lifespan.startup.complete"}),
            shared=worker is not None,
        )
        hangups = Hangups(handover.hangups)

        secrets = Secrets(Path(handover.secrets)) if handover.secrets else None

        def make_transport(
            methods: MethodTable, boundary: Boundary, *, max_request_bytes: int, connections: Connections
        ) -> EnvoyTransport:
            if connections.current_certificate is not None and secrets is not None:
                connections.current_certificate.when_changed(secrets.read_again)
            web_app = (
                WebApp(
                    methods,
                    boundary,
                    max_request_bytes=max_request_bytes,
                    cors=CorsPolicy(*settings.origins),
                    certificate_names=client_certificate.of_headers,
                )
                if settings.web == "on"
                else None
            )
            self._transport = EnvoyTransport(
                methods,
                boundary,
                max_request_bytes=max_request_bytes,
                listener=listener,
                hangups=hangups,
                web_app=web_app,
            )
            return self._transport

        try:
            with exit_codes.start_failures_logged(settings, worker=worker.number if worker else None) as log:
                return await serve(
                    settings,
                    log,
                    make_transport=make_transport,
                    subscribe_to_signals=signal_thread.subscribe,
                    worker=worker,
                )
            return exit_codes.CANNOT_START
        finally:
            if secrets is not None:
                secrets.remove()


class SignalThread:
    """A thread that waits for signals, which every thread of this process blocks (see envoy_process.launch)."""

    def __init__(self) -> None:
        self._on_signal: signals.OnSignal = _while_loading
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def subscribe(self, on_signal: signals.OnSignal) -> None:
        """Call back on the running loop for every further signal."""
        loop = asyncio.get_running_loop()
        self._on_signal = lambda number: loop.call_soon_threadsafe(on_signal, number)

    def _wait(self) -> None:
        while True:
            number = signal.sigwait(signals.HANDLED)
            self._on_signal(signal.Signals(number))  # read after the wait: `subscribe` may have changed it


def _while_loading(number: signal.Signals) -> None:
    if number != signals.RELOADING:  # the models' folder is being read already
        os._exit(128 + number)  # no call was accepted, so there is nothing to drain


application = Application()
