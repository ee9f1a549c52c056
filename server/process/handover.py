"""What one process hands to the next in an environment variable: to a worker, or to the server in Envoy."""

import json
from dataclasses import asdict, dataclass

ENVOY_HANDOVER = "VAESERVE_ENVOY_HANDOVER"  # the variable that carries it


@dataclass(frozen=True, slots=True)
class EnvoyHandover:
    """What the process was before it became Envoy."""

    arguments: tuple[str, ...]  # of the command line
    admin: str  # the path of Envoy's admin socket
    hangups: int  # the reading end of the pipe that tells of callers who left
    secrets: str = ""  # the folder that tells Envoy where the certificate lies; empty without TLS
    worker: str = ""  # what its supervisor told it, if it is one of several workers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "EnvoyHandover":
        facts = json.loads(text)
        return EnvoyHandover(**facts | {"arguments": tuple(facts["arguments"])})


WORKER_HANDOVER = "VAESERVE_WORKER_HANDOVER"  # the variable that carries it


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve the same port."""

    number: int  # 0, 1, ...
    port: int  # that all of them listen on
    cores: int  # that this one may count on
    channel: int  # the file descriptor of its end of the channel to the supervisor
    supervisor: int  # the supervisor's process id

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Worker":
        return Worker(**json.loads(text))
