"""Runs ONNX graphs by onnxruntime; no other room imports onnxruntime."""
