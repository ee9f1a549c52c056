"""What decides a run: frozen values, named presets, and how flags and files make one of them."""
