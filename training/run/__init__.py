"""One training run: its loop, its state and folder, the machine and what it reports."""
