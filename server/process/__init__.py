"""Processes: workers that share one port, their supervisor, signals and exit codes."""
