"""The transports that are installed."""

import importlib.util

import pytest

NEEDS_PYVOY = pytest.mark.skipif(
    importlib.util.find_spec("pyvoy") is None, reason="pyvoy is not installed (extra envoy)"
)
TRANSPORTS = ("grpcio", pytest.param("envoy", marks=NEEDS_PYVOY))
ENVOY_ONLY = pytest.mark.parametrize("transport", TRANSPORTS[1:])
