"""How a graph runs on this machine: measured, chosen, and kept for the next start."""
