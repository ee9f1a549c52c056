"""Metrics, logs and traces. server.app passes them to the other rooms as plain callables."""
