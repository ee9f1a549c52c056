"""The server's computation and decisions, free of gRPC, onnxruntime and Prometheus."""
