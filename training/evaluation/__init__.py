"""Measuring exported models: estimates on held-out rows, baselines, the quality of samples."""
