"""Benchmarks: they print figures and ratios, and are never tests."""

import os

# onnxruntime reads it when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
