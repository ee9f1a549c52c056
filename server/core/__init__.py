"""What a VAE server computes and decides; knows neither gRPC, onnxruntime nor Prometheus."""
