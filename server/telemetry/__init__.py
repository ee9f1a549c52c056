"""Metrics and logs, handed to the rest as plain callables by server.app."""
