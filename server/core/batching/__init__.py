"""Rows of many calls through one graph together."""
