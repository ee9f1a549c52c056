"""The catalog of model versions: finds them in a folder, loads, routes calls to and unloads them."""
