"""Processes: several workers on one port, their supervisor, and the signals all of them heed."""
