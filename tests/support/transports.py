"""The transports that this machine can run."""

import importlib.util
import sys

import pytest


def _envoy_lacks() -> str:
    """What the Envoy transport needs and does not find here; empty if nothing."""
    if importlib.util.find_spec("pyvoy") is None:
        return "pyvoy is not installed (extra envoy)"
    from pyvoy._server import get_envoy_environ

    if "LD_PRELOAD" not in get_envoy_environ():
        library = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        return f"{library} is not installed (Debian: apt install {library})"
    return ""


def but_the_choice(lines: list[str]) -> list[str]:
    """Log lines without the one that says, where Envoy cannot run, that grpcio serves instead (`--transport auto`)."""
    return [line for line in lines if "transport grpcio" not in line]


ENVOY_LACKS = _envoy_lacks()
NEEDS_ENVOY = pytest.mark.needs(ENVOY_LACKS)
TRANSPORTS = ("grpcio", pytest.param("envoy", marks=NEEDS_ENVOY))
ENVOY_ONLY = pytest.mark.parametrize("transport", TRANSPORTS[1:])
