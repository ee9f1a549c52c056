"""Repeated readings of a server's metrics: what `vaeserve top` shows.

`exposition` reads the text, `figures` makes rates and quantiles from two readings, `watching` repeats both.
"""
