"""Benchmarks of serving and training: they print figures and ratios. They are not tests."""

import os

# onnxruntime reads this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
