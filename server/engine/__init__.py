"""Graphs in onnxruntime: the only part that knows it."""
