"""Export of a trained model as an artifact: ONNX graphs, parity checks, pictures and a model card."""
