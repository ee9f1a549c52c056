"""Runs graphs on an NVIDIA GPU, in fixed batch sizes and fixed buffers."""
