"""The gRPC server for exported variational autoencoders: `python -m server --models exported`."""

import os

# onnxruntime on Linux reports usage and writes under ~/.cache unless told not to, before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
