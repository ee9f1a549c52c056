"""What an exported model is worth: estimates on held-out rows, baselines, samples judged."""
