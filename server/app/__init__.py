"""The composition root: every part of one server process, built from the settings."""
