"""Parameters of requests and tensors: reads `timeout` and `priority`, and refuses every other one by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from server.edge import wire
from server.edge.inference_v2 import open_inference_pb2 as pb
from server.errors import InvalidInput

INTERACTIVE, BULK = 1, 2  # priorities; 0 leaves the call's own priority
MAX_MICROSECONDS = 2**63 - 1
_UNSUPPORTED = {  # by the beginning of their names
    "sequence": "sequences are not supported",
    "shared_memory": "shared memory is not supported",
    "classification": "classification is not supported",
}


@dataclass(frozen=True, slots=True)
class Options:
    """The timeout and priority that a request asks for."""

    timeout_seconds: float | None
    bulk: bool


def options(parameters: Mapping[str, pb.InferParameter]) -> Options:
    """Read the parameters of a request. Raises InvalidInput."""
    refuse_all("", {name: value for name, value in parameters.items() if name not in ("timeout", "priority")})
    microseconds = _integer(parameters, "timeout", most=MAX_MICROSECONDS)
    priority = _integer(parameters, "priority", most=BULK)
    return Options(microseconds / 1e6 if microseconds else None, priority == BULK)


def refuse_all(owner: str, parameters: Mapping[str, pb.InferParameter]) -> None:
    """Raise InvalidInput for the first parameter, if any; `owner` is its tensor, "" for the request."""
    field = f"{owner}.parameters" if owner else "parameters"
    known = "no parameter is known here" if owner else "only timeout and priority are known"
    for name in parameters:
        why = next((text for start, text in _UNSUPPORTED.items() if name.startswith(start)), known)
        raise InvalidInput(field, f"must not have {quoted(name)}: {why}")


def quoted(text: str) -> str:
    """A caller's text for an error message, which goes into a header and must stay small."""
    return repr(text if len(text) <= 64 else text[:64] + "...")


def _integer(parameters: Mapping[str, pb.InferParameter], name: str, *, most: int) -> int:
    """The value, 0 if absent."""
    if name not in parameters:
        return 0
    parameter = parameters[name]
    match parameter.WhichOneof("parameter_choice"):
        case "int64_param":
            value = parameter.int64_param
        case "uint64_param":
            value = parameter.uint64_param
        case other:
            raise InvalidInput(
                f"parameters.{name}", f"must be an integer (int64_param or uint64_param), got {other or 'nothing'}"
            )
    return wire.integer(f"parameters.{name}", value, least=0, most=most)
