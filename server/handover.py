"""What a process knows that is about to become Envoy, for the server that Envoy will hold."""

import json
from dataclasses import asdict, dataclass

HANDOVER = "VAESERVE_ENVOY_HANDOVER"  # the variable that carries it from server.launch to server.embedded


@dataclass(frozen=True, slots=True)
class Handover:
    """What the process was before it became Envoy."""

    arguments: tuple[str, ...]  # of the command line
    admin: str  # the path of Envoy's admin socket
    hangups: int  # the reading end of the pipe that tells of callers who left
    secrets: str = ""  # the folder that tells Envoy where the certificate lies; empty without TLS
    worker: str = ""  # what its supervisor told it, if it is one of several workers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Handover":
        facts = json.loads(text)
        return Handover(**facts | {"arguments": tuple(facts["arguments"])})
