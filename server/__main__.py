"""`python -m server`: reads the settings, serves in the way they ask for, and returns the exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from server.errors import StartFailed
from server.process.handover import WORKER_HANDOVER, Worker
from server.settings import BadSettings, Settings, read

if TYPE_CHECKING:
    from server.edge.transports.transport import MakeTransport
    from server.telemetry.logs import Log


def main() -> int:
    """Run the server; return 0 after a drain, 1 if it broke while serving, 2 if it could not start."""
    # Removed from the environment: it is not a setting, and children of this process must not inherit it.
    handover = os.environ.pop(WORKER_HANDOVER, None)
    try:
        settings = read(sys.argv[1:], os.environ)
    except BadSettings as error:
        print(error, file=sys.stderr)  # noqa: T201  # the log is configured later
        return 2
    return run(settings, sys.argv[1:], worker=Worker.from_json(handover) if handover else None)


def run(settings: Settings, arguments: Sequence[str], *, worker: Worker | None) -> int:
    """Serve in this process, as Envoy, or through workers, as the settings ask; return the exit code."""
    # Imported late, so that --help and a bad flag answer at once.
    from server.process import exit_codes, signals

    if worker:
        signals.die_with(worker.supervisor)
    else:
        # Process 1 of a container has no default action for signals. Without a handler, SIGTERM would be lost while
        # models load.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # Ignored while the models' folder is read for the first time: there is nothing to reload yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with exit_codes.start_failures_logged(settings, worker=worker.number if worker else None) as log:
        if settings.workers > 1 and worker is None:
            from server.process import supervisor

            return asyncio.run(supervisor.supervise(settings, arguments, log))
        if settings.transport != "grpcio":
            from server.envoy_process import launch

            try:
                launch.become_envoy(settings, arguments, worker=worker)
            except launch.EnvoyMissing as missing:
                if settings.transport == "envoy":
                    raise
                log.info("transport grpcio", reason=str(missing))
        return _serve(settings, log, worker)
    return exit_codes.CANNOT_START


def _serve(settings: Settings, log: "Log", worker: Worker | None) -> int:
    import uvloop

    from server.app.serve import serve
    from server.edge.transports.grpcio import GrpcioTransport

    make_transport: MakeTransport = partial(GrpcioTransport, shared=worker is not None)
    if settings.web == "on" and settings.web_port != "off":
        make_transport = _with_web(make_transport, settings, log, shared=worker is not None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, log, make_transport=make_transport, worker=worker))


def _with_web(make_transport: "MakeTransport", settings: Settings, log: "Log", *, shared: bool) -> "MakeTransport":
    from server.edge.web.cors import CorsPolicy

    try:
        from server.edge.transports.combined import add_http
    except ModuleNotFoundError as error:
        raise StartFailed(f"--web-port needs the extra web: pip install 'vaeserve[web]' ({error})") from error
    assert settings.web_port != "off"
    return add_http(
        make_transport,
        http_port=settings.web_port,
        cors=CorsPolicy(*settings.origins),
        shared=shared,
        tell=lambda port: log.info("web", host=settings.host, port=port),
    )


if __name__ == "__main__":
    sys.exit(main())
