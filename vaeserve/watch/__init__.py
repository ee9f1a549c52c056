"""A server's metrics, read again and again: what `vaeserve top` shows.

`exposition` reads the text, `figures` makes rates and quantiles of two readings, `watching` repeats it.
"""
