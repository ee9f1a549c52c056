"""Envoy's admin interface, over one connection to its Unix socket."""

import json
import shutil
import socket
from http.client import HTTPConnection
from pathlib import Path

ANSWER_SECONDS = 10.0  # far longer than Envoy takes to start listening
STATS = r"/stats?format=json&filter=^http\.grpc\.downstream_(rq_active|cx_tx_bytes_buffered)$"


class Admin:
    """A client of the admin interface of the Envoy in this process. Its calls block, but Envoy answers quickly."""

    def __init__(self, path: Path) -> None:
        """Connect to the socket, then remove it and its folder, so that no file is left behind."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        shutil.rmtree(path.parent)
        self._http = HTTPConnection("envoy")
        self._http.auto_open = 0
        self._http.sock = connection

    @property
    def live(self) -> bool:
        """Whether Envoy takes traffic."""
        return self._ask("GET", "/ready").strip() == b"LIVE"

    @property
    def port(self) -> int:
        """The port of Envoy's only listener."""
        (listener,) = json.loads(self._ask("GET", "/listeners?format=json"))["listener_statuses"]
        return int(listener["local_address"]["socket_address"]["port_value"])

    @property
    def unfinished(self) -> int:
        """The number of open calls plus the bytes not yet sent: 0 when closing would lose nothing."""
        open_calls, unsent_bytes = (stat["value"] for stat in json.loads(self._ask("GET", STATS))["stats"])
        return int(open_calls + unsent_bytes)

    def stop_listening(self) -> None:
        """Close the port. Open connections stay."""
        self._ask("POST", "/drain_listeners")

    def _ask(self, verb: str, path: str) -> bytes:
        self._http.request(verb, path)
        return self._http.getresponse().read()
