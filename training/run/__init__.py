"""One training run: its loop, state, folder and checkpoint, the machine it runs on, and what it reports."""
