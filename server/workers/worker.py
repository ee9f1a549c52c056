"""What a worker is told by its supervisor, beside the command line that both were given."""

import json
from dataclasses import asdict, dataclass

HANDOVER = "VAESERVE_WORKER_HANDOVER"  # the variable that carries it to the worker process


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve the same port."""

    number: int  # 0, 1, ...
    port: int  # that all of them listen on
    cores: int  # that this one may count on
    line: int  # the file descriptor of its end of the line to the supervisor
    supervisor: int  # the supervisor's process id

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Worker":
        return Worker(**json.loads(text))
