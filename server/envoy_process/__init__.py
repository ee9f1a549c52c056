"""Runs the server inside Envoy: the process becomes Envoy, which embeds Python and calls the server."""
