"""onnxruntime and model files: the only part that knows either."""
