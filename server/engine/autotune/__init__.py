"""Finds the batch size, executors and threads that suit a graph on this machine, and keeps the measurements."""
