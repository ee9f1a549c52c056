"""Speaks gRPC: messages in, messages out; knows no model files."""
