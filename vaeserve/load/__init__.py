"""Load on a server, and how long its callers wait: what `vaeserve bench` runs.

`caller` makes the calls, `pace` says when each is due, `tally` counts, `histogram` holds durations in bounded memory.
"""
