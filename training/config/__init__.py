"""The configuration of a run: its dataclasses, the presets, and how files and flags override them."""
