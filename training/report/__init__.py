"""One HTML page about a run. journal -> findings (what is computed) -> page (what is shown); the rest are its parts."""
