"""Data that one process passes to the next in an environment variable: to a worker, or to the server inside Envoy."""

import json
from dataclasses import asdict, dataclass

ENVOY_HANDOVER = "VAESERVE_ENVOY_HANDOVER"  # environment variable


@dataclass(frozen=True, slots=True)
class EnvoyHandover:
    """What the process knew before it became Envoy, for the server inside that Envoy."""

    arguments: tuple[str, ...]  # of the command line
    admin: str  # the path of Envoy's admin socket
    hangups: int  # file descriptor: the reading end of the pipe with the ids of calls that ended early
    secrets: str = ""  # the folder that tells Envoy where the certificate is; empty without TLS
    worker: str = ""  # a Worker as JSON; empty if the server is not one of several workers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "EnvoyHandover":
        facts = json.loads(text)
        return EnvoyHandover(**facts | {"arguments": tuple(facts["arguments"])})


WORKER_HANDOVER = "VAESERVE_WORKER_HANDOVER"  # environment variable


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve the same port."""

    number: int  # 0, 1, ...
    port: int  # the port that all of them listen on
    cores: int  # this worker's share of the processors
    channel: int  # the file descriptor of its end of the channel to the supervisor
    supervisor: int  # the supervisor's process id

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Worker":
        return Worker(**json.loads(text))
