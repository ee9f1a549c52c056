"""Graphs on an NVIDIA GPU: fixed sizes in memory that stays where it is."""
